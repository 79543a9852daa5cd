#!/usr/bin/env bash
# Everything that needs a GPU, in one call of at most 560 s: is it right, and how fast is it.
#
#   OUT=FOLDER benchmarks/gpu_check.sh             on a GPU
#   OUT=FOLDER benchmarks/gpu_check.sh rehearse    from start to end on a CPU, with tiny sizes
#
# Each part is a process with its own time limit and its own file in FOLDER (benchmarks/results
# if OUT is not set); a part that fails or is cut off ends no other, and its file says so.
# Needs the dependencies of the package, but not Snakemake; timm and lightning are compared
# where they are installed. PYTHON names the interpreter (python3).
set -u
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
out=${OUT:-benchmarks/results}
mkdir -p "$out"
export PYTHONUNBUFFERED=1 TQDM_DISABLE=1

# part SECONDS FILE MODULE ARGUMENTS...
part() {
  local seconds=$1 file=$out/$2 started=$SECONDS
  shift 2
  timeout --kill-after=2 "$seconds" "$python" -m "$@" >>"$file" 2>&1
  local code=$?
  case $code in
    0) echo "part complete after $((SECONDS - started)) s" >>"$file" ;;
    124 | 137) echo "part cut off after $seconds s: rows that are missing are not measured" >>"$file" ;;
    *) echo "part failed with exit status $code" >>"$file" ;;
  esac
  echo "$(tail -n 1 "$file"): $file"
}

if [ "${1:-}" = rehearse ]; then
  # A minute on two idle cores; the limits are for crowded ones.
  export RESOMAP_TEST_DEVICE=cpu OMP_NUM_THREADS=1
  cpu=(--device cpu)
  part 900 1_card.md benchmarks.gpu.card "${cpu[@]}" --side 128 --gigabytes 0.01
  part 900 2_right.txt pytest -v -rfEs -p no:cacheprovider tests/gpu
  part 900 3_settings.md benchmarks.gpu.steps "${cpu[@]}" --seconds 40 --cells tiny_cnn:16 --batch-size 4 --setting-seconds 0.04
  part 900 4_peers.md benchmarks.gpu.peers "${cpu[@]}" --seconds 800 --models tiny_cnn --resolutions 16 --rounds 1 --images 40 --epochs 1 --batch-size 8 --workers 0
  part 900 5_sheet.md benchmarks.gpu.sheet "${cpu[@]}" --models tiny_cnn --resolutions 16 --batch-size 2 --side 128 --gigabytes 0.01 --variants eager eager-tf32 cuda_graph training_step
  part 900 6_energy.md benchmarks.gpu.energy "${cpu[@]}" --model tiny_cnn --resolution 16 --batch-size 2 --window-seconds 0.2
  part 900 7_maps.md benchmarks.gpu.maps "${cpu[@]}" --seconds 20 --model tiny_cnn --resolution 32 --images 8 --methods gradcam
  part 900 8_idle.txt benchmarks.gpu.idle "${cpu[@]}" --cells tiny_cnn:16 --batch-size 4 --setting-seconds 0.04
else
  part 25 1_card.md benchmarks.gpu.card
  part 60 2_right.txt pytest -v -rfEs -p no:cacheprovider tests/gpu
  part 140 3_settings.md benchmarks.gpu.steps --seconds 128
  part 140 4_peers.md benchmarks.gpu.peers --seconds 130
  part 75 5_sheet.md benchmarks.gpu.sheet --seconds 50
  part 30 6_energy.md benchmarks.gpu.energy
  part 50 7_maps.md benchmarks.gpu.maps --seconds 35
  part 20 8_idle.txt benchmarks.gpu.idle
fi
