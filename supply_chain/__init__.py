"""What this project is built from: pinned with hashes, held against known advisories, and its licences."""
