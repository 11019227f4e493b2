#!/usr/bin/env bash
# Fuzzes what reads a stranger's bytes, with address sanitizer and overflow checks, and prints what
# came of it. `make fuzz` installs what it needs and runs it.
#
#   bench/fuzz/run.sh [--keep] [target…]    all targets, unless some are named
#
#   --keep          then adds to corpus/ what reaches code that nothing kept did
#   FUZZ_SECONDS    for each target; 60 unless said otherwise
#
# What makes a target fail is left in artifacts/: mend the code, and keep the file under corpus/.
set -euo pipefail
cd "$(dirname "$0")"

seconds=${FUZZ_SECONDS:-60}
target_dir=$(realpath -m "${CARGO_TARGET_DIR:-target}")/fuzz
keep=
if [ "${1:-}" = --keep ]; then keep=1; shift; fi
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(basename -s .rs fuzz_targets/*)

# cargo-fuzz has no --locked of its own.
cargo +nightly metadata --locked --format-version 1 >/dev/null
build=(--fuzz-dir . --target-dir "$target_dir")
cargo +nightly fuzz build "${build[@]}"

failed=0
printf '%-12s %10s %8s %6s %9s %7s %7s  %s\n' \
    target runs runs/s edges features kept rss-MB outcome
for target in "${targets[@]}"; do
    found=$target_dir/found/$target log=$target_dir/$target.log
    mkdir -p "$found" "corpus/$target" "artifacts/$target"
    outcome=clean
    # A datagram is answered in microseconds: a script of hundreds that takes 20 s is a finding.
    cargo +nightly fuzz run "${build[@]}" "$target" "$found" "corpus/$target" -- \
        -max_total_time="$seconds" -timeout=20 -rss_limit_mb=1024 -malloc_limit_mb=64 \
        -max_len=16384 -print_final_stats=1 >"$log" 2>&1 || { outcome="FAILED, see $log"; failed=1; }
    last() { grep -o "$1 *[0-9]*" "$log" | tail -1 | grep -o '[0-9]*$' || echo -; }
    printf '%-12s %10s %8s %6s %9s %7s %7s  %s\n' "$target" \
        "$(last 'number_of_executed_units:')" "$(last 'average_exec_per_sec:')" "$(last 'cov:')" \
        "$(last 'ft:')" "$(find "corpus/$target" -type f | wc -l)" "$(last 'peak_rss_mb:')" "$outcome"
    if [ -n "$keep" ]; then
        # By edges alone, and as few files as there may be: `make test` runs them all.
        cargo +nightly fuzz run "${build[@]}" "$target" "corpus/$target" "$found" -- \
            -set_cover_merge=1 -use_counters=0 -max_len=4096 >>"$log" 2>&1
    fi
done
exit $failed
