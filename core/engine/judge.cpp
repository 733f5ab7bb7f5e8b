// What a model thought where it took a token, in one pass over its logits.

#include "vectors.h"

static inline bool any(Ints mask) {
    uint64_t parts[8], all = 0;
    memcpy(parts, &mask, sizeof parts);
    for (int i = 0; i < 8; i++) all |= parts[i];
    return all;
}

// The ids of the largest logits, largest first, the first of equals first.
static void find_top(const float* raw, int64_t vocab_size, int64_t count, int64_t* ids) {
    if (!count) return;
    int64_t num = 0;
    float least = -INFINITY;
    const int64_t block = 4 * LANES;
    for (int64_t first = 0; first < vocab_size; first += block) {
        const int64_t last = first + block < vocab_size ? first + block : vocab_size;
        if (num == count && last == first + block) {
            Ints above = {};
            for (int v = 0; v < 4; v++) above |= load(raw + first + v * LANES) > least;
            if (!any(above)) continue;
        }
        for (int64_t v = first; v < last; v++) {
            if (num == count && !(raw[v] > least)) continue;
            int64_t place = num < count ? num++ : count - 1;
            for (; place > 0 && raw[ids[place - 1]] < raw[v]; place--) ids[place] = ids[place - 1];
            ids[place] = v;
            least = raw[ids[num - 1]];
        }
    }
}

static inline double cap(float raw, float softcap) {
    return -2.0 * softcap / (exp(2.0 * raw / softcap) + 1);
}

// What the model thought of one token of each row: entropy, surprisal and rank, then the ids of
// the `most` likeliest tokens and their probabilities, (B, 3 + 2 * most).
extern "C" void judge(int64_t num_rows, int64_t num_threads, int64_t vocab_size, float softcap,
                      const float* logits, const int64_t* ids, int64_t most, int64_t* best,
                      double* all_figures) {
#pragma omp parallel for num_threads(num_threads) schedule(static, 1)
    for (int64_t row = 0; row < num_rows; row++) {
        const float* raw = logits + row * vocab_size;
        double* figures = all_figures + row * (3 + 2 * most);
        const float own = raw[ids[row]];
        double sum = 0, weighted = 0, rank = 0;
        for (int64_t first = 0; first < vocab_size; first += 64 * LANES) {
            // Blocks in float32, their totals in float64: the error stays that of a block.
            Floats sums = {}, products = {};
            Ints above = {};
            for (int64_t i = first; i < vocab_size && i < first + 64 * LANES; i += LANES) {
                Floats x = fill(-INFINITY);
                if (vocab_size - i >= LANES) x = load(raw + i);
                else memcpy(&x, raw + i, (vocab_size - i) * sizeof(float));
                above -= x > own;
                // softcap tanh(x / softcap) - softcap: at most 0, so that no exponential is large.
                Floats twice = exp16(x * (2 / softcap));
                Floats capped = -2 * softcap / (twice + 1.0f);
                Floats share = keep(exp16(capped), x > -INFINITY);
                sums += share;
                products += share * capped;
            }
            sum += total(sums);
            weighted += total(products);
            for (int i = 0; i < LANES; i++) rank += above[i];
        }
        const double log_sum = log(sum);
        figures[0] = log_sum - weighted / sum;
        figures[1] = log_sum - cap(own, softcap);
        figures[2] = rank;
        find_top(raw, vocab_size, most, best + row * most);
        for (int64_t i = 0; i < most; i++) {
            const int64_t id = best[row * most + i];
            figures[3 + i] = exp(cap(raw[id], softcap) - log_sum);
            figures[3 + most + i] = id;
        }
    }
}
