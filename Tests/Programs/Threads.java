// A pool of threads, timers and a concurrent map; run from its source (java Threads.java).
import java.util.*;
import java.util.concurrent.*;

public class Threads {
    static long mixed(long x, int rounds) {
        for (int i = 0; i < rounds; i++) {
            x ^= x >>> 30;
            x *= 0xbf58476d1ce4e5b9L;
            x ^= x >>> 27;
        }
        return x;
    }

    public static void main(String[] arguments) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(4);
        ConcurrentHashMap<Long, Integer> seen = new ConcurrentHashMap<>();
        long sum = 0;
        for (int round = 0; round < 40; round++) {
            List<Future<Long>> results = new ArrayList<>();
            for (int task = 0; task < 8; task++) {
                final long seed = round * 8L + task;
                results.add(pool.submit(() -> {
                    long value = mixed(seed, 300000);
                    seen.merge(value & 63, 1, Integer::sum);
                    return value;
                }));
            }
            for (Future<Long> result : results) sum += result.get();
            Thread.sleep(50);
            System.out.println("round " + round + " " + sum);
        }
        pool.shutdown();
        System.out.println(pool.awaitTermination(5, TimeUnit.SECONDS) + " " + new TreeMap<>(seen));
    }
}
