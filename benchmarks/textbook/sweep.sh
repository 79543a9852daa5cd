#!/usr/bin/env bash
# The default sweep as a user would write it: a loop over a training script, a profiling script and an explaining script.
# usage: sweep.sh PICTURES OUT DEVICE    PICTURES holds train/ val/ test/; PYTHON, MODELS, SIZES, SEEDS and EPOCHS may be set
set -euo pipefail
pictures=$1 out=$2 device=$3
python=${PYTHON:-python3} models=${MODELS:-tiny_cnn simple_cnn} sizes=${SIZES:-24 48 96} seeds=${SEEDS:-0 1} epochs=${EPOCHS:-8}
for model in $models; do
    for size in $sizes; do
        for seed in $seeds; do
            run=$out/$model/$size/$seed
            # shellcheck disable=SC2086
            $python -m benchmarks.textbook.train "$pictures" --model "$model" --size "$size" --seed "$seed" --epochs "$epochs" \
                --no-crop --test-sizes $sizes --device "$device" --out "$run"
            $python -m benchmarks.textbook.explain "$pictures" --model "$model" --size "$size" --weights "$run/best.pt" \
                --device "$device" --out "$run/maps.npz"
        done
    done
    # shellcheck disable=SC2086
    $python -m benchmarks.textbook.profile --model "$model" --sizes $sizes --device "$device" --out "$out/$model/profile.json"
done
