// A main thread and three workers that hash in rounds, with a timer and shared memory.
'use strict';
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const { createHash } = require('crypto');

if (!isMainThread) {
  const counter = new Int32Array(workerData.shared);
  parentPort.on('message', (seed) => {
    let value = seed;
    for (let i = 0; i < 3000; i++) {
      value = createHash('sha256').update(value).digest('hex');
      Atomics.add(counter, 0, 1);
    }
    parentPort.postMessage(value);
  });
} else {
  const shared = new SharedArrayBuffer(4);
  const workers = [0, 1, 2].map(() => new Worker(__filename, { workerData: { shared } }));
  const ask = (worker, seed) => new Promise((resolve) => {
    worker.once('message', resolve);
    worker.postMessage(seed);
  });
  let ticks = 0;
  const timer = setInterval(() => ticks++, 10);
  (async () => {
    let values = ['a', 'b', 'c'];
    for (let round = 0; round < 40; round++) {
      values = await Promise.all(workers.map((worker, i) => ask(worker, values[i])));
      console.log('round', round, values.map((value) => value.slice(0, 8)).join(' '));
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    clearInterval(timer);
    console.log('hashes', new Int32Array(shared)[0], 'timer', ticks > 0);
    for (const worker of workers) await worker.terminate();
  })();
}
