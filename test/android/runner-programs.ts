/** How releases name the mean. */
const means = {
  first: 'Average time cost',
  middle: 'Average inference time cost',
  today: 'Average inference time cost total',
} as const;

/**
 * Programs of a phone as shell scripts: they print what the real ones print for the runs that they are told, 2 ms of the
 * candidate and 1 ms of the reference, no two runs alike.
 */
export const perfTest = (release: keyof typeof means, withFile = true): string => `#!/bin/sh
[ "$1" = -h ] && { echo '  -I -m -r -e -x -s -S'; exit 0; }
while [ $# -gt 2 ]; do [ "$1" = -r ] && runs=$2; shift; done
case $1 in *candidate*) ms=2;; *) ms=1;; esac
echo x >> ../count
awk -v n=$runs -v ms=$ms -v k=$(wc -l < ../count) -v form="${means[release]}" -v first=${release === 'first' ? 1 : 0} -v file="${withFile ? '$2' : ''}" 'BEGIN {
  for (i = 0; i < n; i++) {
    t[i] = ms / 1000 * (1 + ((i * 7 + k) % 5) / 10000); sum += t[i]
    if (file != "") printf "hilda,%.6g,34567168,12,%d\\n", t[i], i > file
  }
  if (!first) { print "Session creation time cost: 0.0213 s"; print "First inference time cost: 12 ms" }
  print first ? "Total time cost:" sum : "Total inference time cost: " sum " s"
  print first ? "Total iterations:" n : "Total inference requests: " n
  printf "%s:%s%.6g ms\\n", form, first ? "" : " ", 1000 * sum / n
  if (!first) printf "P50 Latency: %.6g s\\n", t[int(n / 2)]
}'
`;

/** Refuses what is no TensorFlow Lite file; 3 ms of the candidate, 1 ms of the reference, means alone. */
export const benchmarkModel = `#!/bin/sh
for argument; do case $argument in
  --num_runs=*) runs=\${argument#*=};; --graph=*) graph=\${argument#*=};;
esac; done
case $(head -c 8 "$graph" | tail -c 4) in TFL3) ;; *) echo 'ERROR: Failed to load model' >&2; echo 'Benchmarking failed.'; exit 1;; esac
case $graph in *candidate*) us=3000;; *) us=1000;; esac
echo x >> ../count
us=$((us + $(wc -l < ../count) % 3))
echo 'INFO: Initialized session in 4.452ms.'
echo 'INFO: Running benchmark for at least 1 iterations and at least 0 seconds but terminate if exceeding 150 seconds.'
echo 'INFO: count=1 curr=9000'
echo 'INFO: Running benchmark for at least N iterations'
if [ $runs = 1 ]; then echo "INFO: count=1 curr=$us"
else echo "INFO: count=$runs first=$us curr=$us min=$((us - 1)) max=$((us + 1)) avg=$us std=1"; fi
echo "INFO: Inference timings in us: Init: 4452, First inference: 9000, Warmup (avg): 9000, Inference (avg): $us"
`;

/** A program of a user's, which writes results as llama-bench does. */
export const ownProgram = `#!/bin/sh
[ "$1" = --json ] || exit 2
echo 'loading' >&2
echo "[{\\"build_number\\": 7, \\"avg_ns\\": 2500000, \\"samples_ns\\": [$(awk -v n=$2 'BEGIN { for (i = 0; i < n; i++) printf "%s2500000", i ? ", " : "" }')]}]" > $3
`;
