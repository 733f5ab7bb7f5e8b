// One decode step of a few rows in a single call: embeddings, layers, head. No torch, no globals.
//
// Compiled on first use by build.py. Every sum of a row is added up in an order that its own length
// and the model's shape decide: other rows and the number of threads change no bit of it.
//
// Shapes: B rows, C model width, H heads, K kv heads, D head width, N outputs, V vocabulary.
// A matrix is stored in panels of 64 outputs: (N / 64, C, 64), with zeros after the last output.
// In int8 the 64 lie as (16, 4), output 16 v + i at [i][v], and in bfloat16 as (2, 16, 2), output
// 32 g + 16 v + i at [g][i][v]: the parts of whole words are cut out 16 at a time by shifts, which
// compilers do better than to widen neighbouring bytes.

#include <omp.h>
#include <sched.h>

#include <atomic>

#include "vectors.h"

static const int PANEL = 64, MOST_ROWS = 8;

// The layouts of these four are repeated in native.py.
enum Type : int64_t { FLOAT32, BFLOAT16, INT8 };

struct Matrix {
    const void* panels;
    const float* scales;  // per output; null: 1
    int64_t type, num_inputs, num_outputs;
};

struct Layer {
    Matrix qkv, out, up, down;
    const void* value_embed;  // null: none
    int64_t window, has_mix;
    float resid, x0;
};

struct Model {
    int64_t width, num_heads, num_kv_heads, head_dim, vocab_size, num_layers, is_bfloat16;
    const Layer* layers;
    Matrix head, screen;        // screen.panels null: none
    const float* screen_error;  // per output: length of what rounding took from its weights
    const float* exact_head;    // (V, C), scaled by exact_scale; read behind a screen only
    const void *embed, *smear;  // smear null: none
    const float* rotary;        // (positions, D / 2) pairs of cosine and sine
    float exact_scale, norm_gain, head_gain, score_scale, backout, eps;
};

struct Step {
    int64_t num_rows, num_cache_rows, num_slots, is_greedy, num_threads;
    const int64_t *ids, *befores, *positions, *rows;  // rows of the cache; before V: none
    void* cache;                                      // (layers, 2, rows, K, slots, D)
    float* const* logits;                             // where each row's logits go
    float* scratch;
};

// 16 of the 64 outputs that a row of a panel holds for one input.
static inline Floats weights_of(const float* row, int v) { return load(row + v * LANES); }
static inline Floats weights_of(const uint16_t* row, int v) {
    Words pairs;
    memcpy(&pairs, row + v / 2 * 2 * LANES, sizeof pairs);
    return (Floats)(v % 2 ? pairs & 0xffff0000u : pairs << 16);
}
static inline Floats weights_of(const int8_t* row, int v) {
    Ints fours;
    memcpy(&fours, row, sizeof fours);
    return __builtin_convertvector((fours << (24 - 8 * v)) >> 24, Floats);
}

// NUM rows times outputs 16 FIRST .. 16 LAST of one panel; each output is one chain of products.
template <typename W, int NUM, int FIRST = 0, int LAST = 4>
static inline void multiply(const W* panel, const float* scales, int64_t num_inputs,
                            const float* x, int64_t stride, float* y, int64_t y_stride) {
    const int VECTORS = LAST - FIRST;
    Floats sums[NUM][VECTORS] = {};
    for (int64_t k = 0; k < num_inputs; k++) {
        Floats weights[VECTORS];
        for (int v = 0; v < VECTORS; v++) weights[v] = weights_of(panel + k * PANEL, FIRST + v);
        for (int r = 0; r < NUM; r++) {
            Floats input = fill(x[r * stride + k]);
            for (int v = 0; v < VECTORS; v++) sums[r][v] += input * weights[v];
        }
    }
    for (int v = 0; v < VECTORS; v++)
        for (int r = 0; r < NUM; r++) {
            const int at = (FIRST + v) * LANES;
            store(y + r * y_stride + at, scales ? sums[r][v] * load(scales + at) : sums[r][v]);
        }
}

// A row of the last panel may have fewer than 64 outputs to write: y has room for all of them.
template <typename W>
static void multiply_panel(const Matrix& m, int64_t panel, const float* x, int64_t num,
                           float* y, int64_t y_stride) {
    const int64_t C = m.num_inputs;
    const W* p = (const W*)m.panels + panel * C * PANEL;
    const float* s = m.scales ? m.scales + panel * PANEL : nullptr;
    y += panel * PANEL;
    for (int64_t row = 0; row < num; row += MOST_ROWS) {
        const float* xs = x + row * C;
        float* ys = y + row * y_stride;
        switch (num - row < MOST_ROWS ? num - row : MOST_ROWS) {
            case 1: multiply<W, 1>(p, s, C, xs, C, ys, y_stride); break;
            case 2: multiply<W, 2>(p, s, C, xs, C, ys, y_stride); break;
            case 3: multiply<W, 3>(p, s, C, xs, C, ys, y_stride); break;
            case 4: multiply<W, 4>(p, s, C, xs, C, ys, y_stride); break;
            case 5: multiply<W, 5>(p, s, C, xs, C, ys, y_stride); break;
            case 6: multiply<W, 6>(p, s, C, xs, C, ys, y_stride); break;
            case 7:  // more sums than 32 registers hold
                multiply<W, 7, 0, 2>(p, s, C, xs, C, ys, y_stride);
                multiply<W, 7, 2, 4>(p, s, C, xs, C, ys, y_stride);
                break;
            default:
                multiply<W, 8, 0, 2>(p, s, C, xs, C, ys, y_stride);
                multiply<W, 8, 2, 4>(p, s, C, xs, C, ys, y_stride);
        }
    }
}

// Where threads meet between the parts of a step. They come within microseconds where each has a
// core; where other processes want the cores, whoever waits gives way, unlike OpenMP's barrier,
// which spins for milliseconds while the thread that it waits for cannot run.
struct Meeting {
    std::atomic<int64_t> num_here{0}, round{0};
    void wait(int64_t num) {
        const int64_t mine = round.load(std::memory_order_relaxed);
        if (num_here.fetch_add(1, std::memory_order_acq_rel) + 1 == num) {
            num_here.store(0, std::memory_order_relaxed);
            round.store(mine + 1, std::memory_order_release);
            return;
        }
        for (int tries = 0; round.load(std::memory_order_acquire) == mine; tries++)
            if (tries > 4000) sched_yield();
    }
};

struct Share {
    int64_t index, num;
    Meeting* meeting;
    void wait() const { meeting->wait(num); }
    int64_t first(int64_t count) const { return count * index / num; }
    int64_t last(int64_t count) const { return count * (index + 1) / num; }
};

static inline int64_t num_panels(const Matrix& m) { return (m.num_outputs + PANEL - 1) / PANEL; }

static void multiply_any(const Matrix& m, int64_t panel, const float* x, int64_t num, float* y,
                         int64_t y_stride) {
    if (m.type == FLOAT32) multiply_panel<float>(m, panel, x, num, y, y_stride);
    else if (m.type == BFLOAT16) multiply_panel<uint16_t>(m, panel, x, num, y, y_stride);
    else multiply_panel<int8_t>(m, panel, x, num, y, y_stride);
}

// This thread's panels of x times a matrix, to y of the padded width.
static void project(const Matrix& m, const float* x, int64_t num, float* y, Share share) {
    const int64_t panels = num_panels(m);
    for (int64_t p = share.first(panels); p < share.last(panels); p++)
        multiply_any(m, p, x, num, y, panels * PANEL);
}

static void norm(const float* x, float* y, int64_t width, float gain, float eps) {
    Floats squares = {};
    for (int64_t i = 0; i < width; i += LANES) squares += load(x + i) * load(x + i);
    float factor = gain / sqrtf(total(squares) + width * eps);
    for (int64_t i = 0; i < width; i += LANES) store(y + i, load(x + i) * factor);
}

// Normalise one head and turn its neighbouring pairs.
static void turn(float* head, const float* rotary, int64_t width, float gain, float eps) {
    float squares = 0;
    for (int64_t i = 0; i < width; i++) squares += head[i] * head[i];
    float factor = gain / sqrtf(squares + width * eps);
    for (int64_t i = 0; i < width; i += 2) {
        float a = head[i] * factor, b = head[i + 1] * factor;
        head[i] = a * rotary[i] - b * rotary[i + 1];
        head[i + 1] = a * rotary[i + 1] + b * rotary[i];
    }
}

// Softmax of scores times values, for one query over positions first .. last.
template <typename T>
static void attend(const float* query, const T* keys, const T* values, int64_t first, int64_t last,
                   int64_t width, float scale, float* scores, float* y) {
    float largest = -INFINITY, sum = 0;
    const int64_t num = last - first + 1;
    for (int64_t s = 0; s < num; s++) {
        const T* key = keys + (first + s) * width;
        float score = 0;
        Floats products = {};
        int64_t i = 0;
        for (; i + LANES <= width; i += LANES) products += load(query + i) * load(key + i);
        for (; i < width; i++) score += query[i] * get(key + i);
        scores[s] = (total(products) + score) * scale;
        largest = fmaxf(largest, scores[s]);
    }
    for (int64_t s = num; s % LANES; s++) scores[s] = -INFINITY;
    Floats sums = {};
    for (int64_t s = 0; s < num; s += LANES) {
        Floats shares = exp16(load(scores + s) - largest);
        shares = keep(shares, load(scores + s) > -INFINITY);
        store(scores + s, shares);
        sums += shares;
    }
    sum = total(sums);
    int64_t i = 0;
    for (; i + LANES <= width; i += LANES) {
        Floats mean = {};
        for (int64_t s = 0; s < num; s++)
            mean += scores[s] * load(values + (first + s) * width + i);
        store(y + i, mean / sum);
    }
    for (; i < width; i++) {
        float mean = 0;
        for (int64_t s = 0; s < num; s++)
            mean += scores[s] * get(values + (first + s) * width + i);
        y[i] = mean / sum;
    }
}

// One row's keys and values of one kv head go to the cache, and its query heads look.
template <typename T>
static void attend_head(const Model& m, const Step& step, int64_t layer, int64_t row, int64_t g,
                        float* qkv, float* scores, float* y) {
    const Layer& l = m.layers[layer];
    const int64_t D = m.head_dim, K = m.num_kv_heads, group = m.num_heads / K;
    const int64_t position = step.positions[row];
    const float* rotary = m.rotary + position * D;
    float* k = qkv + (m.num_heads + g) * D;
    float* v = qkv + (m.num_heads + K + g) * D;
    turn(k, rotary, D, m.head_gain, m.eps);
    if (l.value_embed) {
        const T* embed = (const T*)l.value_embed + (step.ids[row] * K + g) * D;
        float gate = 3 / (1 + expf(-qkv[(m.num_heads + 2 * K) * D + g]));
        for (int64_t i = 0; i < D; i++) v[i] += gate * get(embed + i);
    }
    const int64_t side = step.num_cache_rows * K * step.num_slots * D;
    T* keys = (T*)step.cache + 2 * layer * side + (step.rows[row] * K + g) * step.num_slots * D;
    T* values = keys + side;
    for (int64_t i = 0; i < D; i++) {
        put(keys + position * D + i, k[i]);
        put(values + position * D + i, v[i]);
    }
    const int64_t first = position > l.window ? position - l.window : 0;
    for (int64_t h = g * group; h < (g + 1) * group; h++) {
        turn(qkv + h * D, rotary, D, m.head_gain, m.eps);
        attend(qkv + h * D, keys, values, first, position, D, m.score_scale, scores, y + h * D);
    }
}

template <typename T>
static void embed(const Model& m, const Step& step, float* x) {
    const int64_t C = m.width;
    for (int64_t row = 0; row < step.num_rows; row++) {
        const T* own = (const T*)m.embed + step.ids[row] * C;
        const T* before = (const T*)m.embed + step.befores[row] * C;
        const float share = m.smear ? get((const T*)m.smear + step.ids[row]) : 0;
        for (int64_t i = 0; i < C; i += LANES)
            store(x + row * C + i, load(own + i) + share * load(before + i));
    }
}

static float dot(const float* a, const float* b, int64_t width) {
    Floats products[4] = {};
    int64_t i = 0;
    for (; i + 4 * LANES <= width; i += 4 * LANES)
        for (int v = 0; v < 4; v++)
            products[v] += load(a + i + v * LANES) * load(b + i + v * LANES);
    for (; i < width; i += LANES) products[0] += load(a + i) * load(b + i);
    return total((products[0] + products[1]) + (products[2] + products[3]));
}

// Some panels of a head, through a small buffer: a row of logits has no room for a whole panel.
static void project_logits(const Model& m, const Matrix& head, const Step& step, const float* x,
                           float* buffer, Share share, float* floors) {
    const int64_t panels = num_panels(head);
    Matrix one = head;
    for (int64_t p = share.first(panels); p < share.last(panels); p++) {
        const int64_t first = p * PANEL;
        const int64_t num = head.num_outputs - first < PANEL ? head.num_outputs - first : PANEL;
        const int64_t size = head.type == FLOAT32 ? 4 : head.type == BFLOAT16 ? 2 : 1;
        one.panels = (const char*)head.panels + first * head.num_inputs * size;
        one.scales = head.scales ? head.scales + first : nullptr;
        multiply_any(one, 0, x, step.num_rows, buffer, PANEL);
        for (int64_t row = 0; row < step.num_rows; row++) {
            const float* y = buffer + row * PANEL;
            memcpy(step.logits[row] + first, y, num * sizeof(float));
            if (!floors) continue;
            for (int64_t i = 0; i < num; i++)
                floors[row] = fmaxf(floors[row], y[i] - m.screen_error[first + i]);
        }
    }
}

// Of coarse logits only those that could be the largest are multiplied in float32; x is a row of
// at most length 1, so by Cauchy-Schwarz a coarse logit is off by its weights' error at most.
static void decide(const Model& m, float* logits, const float* x, float floor, Share share) {
    const int64_t first = share.first(m.vocab_size), last = share.last(m.vocab_size);
    for (int64_t v = first; v < last; v++) {
        const bool may_win = logits[v] + m.screen_error[v] >= floor;
        logits[v] = may_win ? m.exact_scale * dot(m.exact_head + v * m.width, x, m.width)
                            : -INFINITY;
    }
}

static inline int64_t padded(int64_t count) { return (count + PANEL - 1) / PANEL * PANEL; }

struct Sizes {
    int64_t x, qkv, y, h, scores, buffer, own, shared;
    Sizes(const Model& m, int64_t num_rows, int64_t num_slots) {
        int64_t widest = 0, hidden = 0, inner = 0;
        for (int64_t i = 0; i < m.num_layers; i++) {
            const Layer& l = m.layers[i];
            widest = l.qkv.num_outputs > widest ? l.qkv.num_outputs : widest;
            hidden = l.up.num_outputs > hidden ? l.up.num_outputs : hidden;
            inner = l.out.num_inputs > inner ? l.out.num_inputs : inner;
        }
        x = num_rows * m.width;
        qkv = num_rows * padded(widest);
        y = num_rows * padded(m.width > inner ? m.width : inner);
        h = num_rows * padded(hidden);
        scores = padded(num_slots);
        buffer = num_rows * PANEL;
        own = 4 * x + scores + buffer + h;
        shared = qkv + 2 * y + h + num_rows * 256;
    }
};

// Floats that a step of so many rows and slots needs to work in.
extern "C" int64_t scratch_floats(const Model* m, int64_t num_rows, int64_t num_slots,
                                  int64_t num_threads) {
    Sizes sizes(*m, num_rows, num_slots);
    return sizes.shared + num_threads * (sizes.own + PANEL);
}

template <typename T>
static void run(const Model& m, const Step& step, Share share) {
    const int64_t B = step.num_rows, C = m.width, N = m.num_heads * m.head_dim;
    const Sizes sizes(m, B, step.num_slots);
    float *qkv = step.scratch, *attended = qkv + sizes.qkv, *y = attended + sizes.y;
    float *h = y + sizes.y, *all_floors = h + sizes.h;
    // Rows of the residual stream are each thread's own copy: cheaper than to wait for another's.
    float* x = step.scratch + sizes.shared + share.index * (sizes.own + PANEL);
    float *x0 = x + sizes.x, *middle = x0 + sizes.x, *normed = middle + sizes.x;
    float *scores = normed + sizes.x, *buffer = scores + sizes.scores;
    embed<T>(m, step, x);
    memcpy(x0, x, sizes.x * sizeof(float));
    memcpy(middle, x, sizes.x * sizeof(float));
    for (int64_t layer = 0; layer < m.num_layers; layer++) {
        const Layer& l = m.layers[layer];
        const int64_t qkv_width = padded(l.qkv.num_outputs), y_width = padded(C);
        if (l.has_mix)
            for (int64_t i = 0; i < sizes.x; i += LANES)
                store(x + i, load(x + i) * l.resid + load(x0 + i) * l.x0);
        for (int64_t row = 0; row < B; row++)
            norm(x + row * C, normed + row * C, C, m.norm_gain, m.eps);
        project(l.qkv, normed, B, qkv, share);
        share.wait();
        const int64_t tasks = B * m.num_kv_heads;
        for (int64_t i = share.first(tasks); i < share.last(tasks); i++) {
            const int64_t row = i / m.num_kv_heads;
            attend_head<T>(m, step, layer, row, i % m.num_kv_heads, qkv + row * qkv_width, scores,
                           attended + row * N);
        }
        share.wait();
        project(l.out, attended, B, y, share);
        share.wait();
        for (int64_t row = 0; row < B; row++) {
            for (int64_t i = 0; i < C; i += LANES)
                store(x + row * C + i, load(x + row * C + i) + load(y + row * y_width + i));
            norm(x + row * C, normed + row * C, C, m.norm_gain, m.eps);
        }
        project(l.up, normed, B, h, share);
        const int64_t h_width = padded(l.up.num_outputs), panels = num_panels(l.up);
        for (int64_t row = 0; row < B; row++)
            for (int64_t i = share.first(panels) * PANEL; i < share.last(panels) * PANEL;
                 i += LANES) {
                Floats v = load(h + row * h_width + i);
                v = keep(v, v > 0.0f);
                store(h + row * h_width + i, v * v);
            }
        share.wait();
        project(l.down, h, B, y, share);
        share.wait();
        for (int64_t row = 0; row < B; row++)
            for (int64_t i = 0; i < C; i += LANES)
                store(x + row * C + i, load(x + row * C + i) + load(y + row * y_width + i));
        if (layer == m.num_layers / 2) memcpy(middle, x, sizes.x * sizeof(float));
    }
    for (int64_t i = 0; i < sizes.x; i += LANES)
        store(x + i, load(x + i) - m.backout * load(middle + i));
    for (int64_t row = 0; row < B; row++)
        norm(x + row * C, normed + row * C, C, m.norm_gain, m.eps);
    if (!step.is_greedy || !m.screen.panels) {
        project_logits(m, m.head, step, normed, buffer, share, nullptr);
        return;
    }
    float* floors = all_floors + share.index * B;
    for (int64_t row = 0; row < B; row++) floors[row] = -INFINITY;
    project_logits(m, m.screen, step, normed, buffer, share, floors);
    share.wait();
    for (int64_t row = 0; row < B; row++) {
        float floor = -INFINITY;
        for (int64_t t = 0; t < share.num; t++) floor = fmaxf(floor, all_floors[t * B + row]);
        decide(m, step.logits[row], normed + row * C, floor, share);
    }
}

extern "C" void run_step(const Model* m, const Step* step) {
    Meeting meeting;
#pragma omp parallel num_threads(step->num_threads)
    {
        const Share share = {omp_get_thread_num(), omp_get_num_threads(), &meeting};
        if (m->is_bfloat16) run<uint16_t>(*m, *step, share);
        else run<float>(*m, *step, share);
    }
}
