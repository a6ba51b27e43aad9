#!/usr/bin/env bash
# tests/hardware/run on a tree of its own, whose programs write down what they were given: what it
# does with the GPU's name, with parts that fail, and with its time. Usage: run_test.sh SOURCE_DIR
. "$1/tests/install/checks.sh"

tree="$scratch/a tree"
mkdir -p "$tree/tests/hardware" "$tree/bin"
cp "$1/tests/hardware/run" "$tree/tests/hardware/"
folder=$tree/measured
export STUB_GPU STUB_COLLECT STUB_MMA STUB_CALLS=$scratch/calls
cat >"$tree/tests/hardware/compile" <<'EOF'
[[ ${STUB_COLLECT:-} != 'no nvcc' ]] || exit 77
cat >"$1/hardware_collect" <<'END'
#!/usr/bin/env bash
echo "collect for $3 s" >>"$STUB_CALLS"
[[ ${STUB_COLLECT:-} != nothing ]] || exit 1
printf 'gpu: %s\nduration: 85ms\n' "$STUB_GPU" >"$2/gpu.conditions.txt"
echo rows >"$2/gpu.mma.e4m3.f32.rows"
[[ ${STUB_COLLECT:-} != 'dies' ]] || { echo some >"$2/gpu.csv.part"; kill -KILL $$; }
echo all >"$2/gpu.csv"
[[ ${STUB_COLLECT:-} == 'no kernels' ]] || echo all >"$2/gpu.kernel.csv"
[[ ${STUB_COLLECT:-} != 'one fails' ]] || exit 1
END
chmod +x "$1/hardware_collect"
EOF
cat >"$tree/tessera" <<'EOF'
#!/usr/bin/env bash
[[ $1 == --version ]] && exit
echo "tessera ${*/#$FOLDER\//}" >>"$STUB_CALLS"
[[ $1 != mma ]] || exit "${STUB_MMA:-0}"
EOF
cat >"$tree/bin/python3" <<'EOF'
#!/usr/bin/env bash
[[ $1 != -c ]] || exit "${STUB_TORCH:-0}"
echo all >"$3"
[[ ${STUB_TORCH:-} == '' ]] || exit
printf 'a warning\nfailed: attention x: OutOfMemoryError\n' >&2
exit "${STUB_ATTENTION:-0}"
EOF
chmod +x "$tree/tessera" "$tree/bin/python3"
export FOLDER=$folder PATH="$tree/bin:$PATH"

measure() {  # exit status; what was called and said is in $calls and $said
  : >"$STUB_CALLS"
  local status=0
  bash "$tree/tests/hardware/run" "$folder" "${1:-200}" >/dev/null 2>"$scratch/said" || status=$?
  calls=$(<"$STUB_CALLS") said=$(<"$scratch/said")
  ended=$status
}

validated() {
  printf 'tessera validate --chip %s --measured %s --duration 85ms\n' "$1" "$2"
}
STUB_GPU='NVIDIA H100 80GB HBM3' measure
check 'all is well' 0 "$ended"
contains 'the tensor cores are checked' 'tessera mma --unit h100.e4m3 --out f32 --check' "$calls"
check 'every table is validated for its duration' \
  "$(for t in gpu.csv gpu.kernel.csv gpu.attention.csv; do validated h100-sxm $t; done)" \
  "$(grep validate <<<"$calls")"
contains 'what attention could not measure is in the conditions' \
  'failed: attention x: OutOfMemoryError' "$(<"$folder/gpu.conditions.txt")"
lacks 'and nothing else of what it said' 'a warning' "$(<"$folder/gpu.conditions.txt")"
seconds=$(sed -n 's/^collect for \(.*\) s$/\1/p' <<<"$calls")
check 'measuring has at most three quarters of the time' yes \
  "$( ((seconds <= 150 && seconds > 0)) && echo yes || echo "$seconds")"

for gpu in 'NVIDIA H100 PCIe=h100-pcie' 'NVIDIA H200=h200-sxm' 'NVIDIA A100-SXM4-80GB=a100-sxm'; do
  STUB_GPU=${gpu%=*} measure
  contains "the chip of ${gpu%=*}" "$(validated "${gpu#*=}" gpu.csv)" "$calls"
done
for gpu in 'NVIDIA H100 NVL' 'NVIDIA H200 NVL' 'NVIDIA A100-SXM4-40GB' 'NVIDIA A100 80GB PCIe' \
  'NVIDIA H100 80GB HBM3 MIG 1g.10gb'; do
  STUB_GPU=$gpu measure
  check "no chip for $gpu is no failure" 0 "$ended"
  lacks "no chip for $gpu" validate "$calls"
  contains "no chip for $gpu, as it says" "no chip file for $gpu" "$said"
done

export STUB_GPU='NVIDIA H200'
STUB_COLLECT='one fails' measure
check 'an operation that fails is told' 1 "$ended"
contains 'the others are validated' "$(validated h200-sxm gpu.csv)" "$calls"
rm "$folder"/gpu.csv
STUB_COLLECT=dies measure
check 'a program that dies is told' 1 "$ended"
check 'its rows are kept' some "$(<"$folder/gpu.csv")"
contains 'and validated' "$(validated h200-sxm gpu.csv)" "$calls"
lacks 'but not those of an earlier run' kernel.csv "$calls"
STUB_TORCH=1 measure
contains 'no PyTorch is told' 'attention: not measured' "$said"
lacks 'and old rows of attention are not validated' attention.csv "$calls"
check 'and is no failure' 0 "$ended"
STUB_ATTENTION=1 measure
check 'attention that fails is told' 1 "$ended"
STUB_MMA=1 measure
check 'tensor cores that differ are told' 1 "$ended"
contains 'and tables validated all the same' "$(validated h200-sxm gpu.csv)" "$calls"
STUB_COLLECT=nothing measure
check 'nothing measured, nothing validated' '1 0' "$ended $(grep -c tessera <<<"$calls")"
STUB_COLLECT='no nvcc' measure
check 'without nvcc the status is that of the build' 77 "$ended"
measure soon
check 'a time that is none is refused' 2 "$ended"
finish
