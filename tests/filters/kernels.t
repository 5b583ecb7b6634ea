# tests/filters/kernels.t - golden cases and whole trainings in every variant of the kernels that this processor has
#
# The unit tests of products, vectors, attention and mel take all variants in turn
# themselves; those here take the one that PENSTOCK_KERNELS names, else the best.
. "$(dirname "$0")/lib.sh"
unit=${BUILD:-$top/build/obj}/unit

passes() { # passes TEST VARIANT: what failed in it, if anything did
    run env PENSTOCK_KERNELS="$2" "$unit/${1}_test"
    [ $st -eq 0 ] || { grep -A 2 '^not ok' "$out"; echo "$err"; return 1; }
}
for v in ref avx2 avx512 neon; do
    if ! env PENSTOCK_KERNELS=$v "$unit/ops_test" >"$tmp/v" && grep -q 'no kernels' "$tmp/v"; then
        skip "all with $v" 'not on this processor'
        continue
    fi
    tests='ops gemma3 conv_bf16 mel_golden lora whisper whisper_bf16 train_bf16'
    [ $v != ref ] || tests='ops gemma3 conv_bf16 mel_golden'    # plain loops: the others take minutes
    for t in $tests; do ok "$t with $v" passes "$t" "$v"; done
done
plan
