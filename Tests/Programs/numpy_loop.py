"""Matrix products in a loop, checked against integer arithmetic at the end."""
import hashlib
import time

import numpy

generator = numpy.random.default_rng(42)
matrix = generator.integers(0, 9, (180, 180)).astype(numpy.float64)
state = numpy.eye(180)
digest = hashlib.sha256()
for step in range(120):
    state = (state @ matrix) % 1009.0
    digest.update(state.tobytes())
    if step % 4 == 0:
        print("step", step, digest.hexdigest()[:16], flush=True)
    time.sleep(0.02)
whole = numpy.eye(180, dtype=numpy.int64)
integers = matrix.astype(numpy.int64)
for step in range(120):
    whole = (whole @ integers) % 1009
print("exact:", bool((whole == state.astype(numpy.int64)).all()))
