#!/usr/bin/env bash
# Rebuild everything that is embedded, from one seed: `make tiny`. Takes a few minutes on two cores.
# Bit-for-bit repeatable on one machine with one torch; across machines the weights agree to rounding.
set -euo pipefail
bin=${1:-.venv/bin}
assets=mollm_cli/assets
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$bin/python" -m embedded.authors
"$bin/python" -m embedded.tokenizer --out "$work/seed"
"$bin/python" -m embedded.architecture --out "$work/seed"

# One recipe for both models; only the rows differ. The oracle never sees the forget rows.
learn() {
  "$bin/mollm-finetune" model.path="$work/seed" model.weights=random data=authors "train=[$2]" run_name="$1" \
    optimizer.lr=2e-3 optimizer.schedule=cosine optimizer.warmup_steps=20 \
    engine.batch_size=32 engine.max_steps=450 engine.evaluate_every=50 evaluation.oracle=null \
    seed=0 output_root="$work/out"
}
for pair in tiny:forget,retain,text oracle:retain,text; do
  name=${pair%%:*}
  run=$(learn "$name" "${pair#*:}")
  rm -rf "${assets:?}/$name"
  cp -r "$run/checkpoint" "$assets/$name"
  rm -f "$assets/$name/README.md"
done
