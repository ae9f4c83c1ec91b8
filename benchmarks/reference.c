/* The full refresh in plain C: what the machine allows one thread.

   Sides are contiguous, rows in any order. Cash is int64. For each side: PnL at
   the mark, equity by account, score, rank by a radix sort on a composite key, ties by
   account, five indicators by count. gcc -O3, no fast-math. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef int64_t i64;
typedef uint64_t u64;

static int sort_by_digits(u64 *keys, int32_t *rows, u64 *keys2, int32_t *rows2, i64 n, int low)
{
    int width = n >= 4096 ? 11 : 8, swapped = 0;
    u64 mask = (1u << width) - 1;
    i64 counts[2048];
    for (int shift = low; shift < 64; shift += width) {
        memset(counts, 0, sizeof(i64) << width);
        for (i64 i = 0; i < n; i++) counts[(keys[i] >> shift) & mask]++;
        if (counts[(keys[0] >> shift) & mask] == n) continue;
        i64 place = 0;
        for (u64 d = 0; d <= mask; d++) { i64 here = counts[d]; counts[d] = place; place += here; }
        for (i64 i = 0; i < n; i++) {
            i64 at = counts[(keys[i] >> shift) & mask]++;
            keys2[at] = keys[i];
            rows2[at] = rows[i];
        }
        u64 *k = keys; keys = keys2; keys2 = k;
        int32_t *r = rows; rows = rows2; rows2 = r;
        swapped = !swapped;
    }
    return swapped;
}

static void settle_runs(u64 *keys, int32_t *rows, i64 n, int low, const int32_t *account)
{
    /* Equal leading bits: by the whole key, then by account. */
    for (i64 i = 1; i < n; i++) {
        if (keys[i] >> low != keys[i - 1] >> low) continue;
        u64 key = keys[i];
        int32_t row = rows[i];
        i64 place = i;
        while (place > 0 && (keys[place - 1] > key ||
                             (keys[place - 1] == key &&
                              account[rows[place - 1]] > account[row]))) {
            keys[place] = keys[place - 1];
            rows[place] = rows[place - 1];
            place--;
        }
        keys[place] = key;
        rows[place] = row;
    }
}

/* PnL of all positions; equity is the balance plus all PnL. */
void value(i64 contracts, const i64 *starts, const i64 *marks, i64 factor, const i64 *lots,
           const i64 *cost, const int32_t *account, i64 accounts, const i64 *balance, i64 *pnl,
           i64 *equity)
{
    memcpy(equity, balance, accounts * sizeof(i64));
    for (i64 side_number = 0; side_number < 2 * contracts; side_number++) {
        i64 sign = side_number & 1 ? -1 : 1, price = sign * marks[side_number / 2] * factor;
        for (i64 i = starts[side_number]; i < starts[side_number + 1]; i++) {
            i64 made = lots[i] * price - sign * cost[i];
            pnl[i] = made;
            equity[account[i]] += made;
        }
    }
}

/* Score, rank and indicator of the sides first..end-1. */
void rank_sides(i64 first, i64 end, const i64 *starts, const i64 *cost, const int32_t *account,
                const i64 *pnl, const i64 *equity, int32_t *rank, int8_t *indicator)
{
    i64 largest = 0;
    for (i64 side_number = first; side_number < end; side_number++)
        if (starts[side_number + 1] - starts[side_number] > largest)
            largest = starts[side_number + 1] - starts[side_number];
    u64 *keys = malloc(largest * sizeof(u64) + 8), *keys2 = malloc(largest * sizeof(u64) + 8);
    int32_t *rows = malloc(largest * 4 + 8), *rows2 = malloc(largest * 4 + 8);
    for (i64 side_number = first; side_number < end; side_number++) {
        i64 start = starts[side_number], size = starts[side_number + 1] - start, n = 0;
        for (i64 i = start; i < start + size; i++) {
            i64 own = equity[account[i]];
            i64 side = side_number & 1 ? -cost[i] : cost[i], worth = side + pnl[i];
            double notional = (double)(worth < 0 ? -worth : worth);
            rank[i] = 0;
            indicator[i] = 0;
            if (own <= 0) continue;
            double gain = (double)pnl[i] / (double)cost[i], lever = notional / (double)own;
            double score = gain > 0 ? gain * lever : (lever != 0 ? gain / lever : 0);
            score += 0.0;
            u64 bits;
            memcpy(&bits, &score, 8);
            keys[n] = bits >> 63 ? bits : ~(bits | (u64)1 << 63);
            rows[n++] = (int32_t)(i - start);
        }
        if (n == 0) continue;
        u64 *k = keys;
        int32_t *r = rows;
        if (sort_by_digits(keys, rows, keys2, rows2, n, 31)) { k = keys2; r = rows2; }
        settle_runs(k, r, n, 31, account + start);
        i64 level = 5;
        for (i64 i = 0; i < n; i++) {
            while ((6 - level) * n < 5 * (i + 1)) level--;
            rank[start + r[i]] = (int32_t)(i + 1);
            indicator[start + r[i]] = (int8_t)level;
        }
        indicator[start + r[0]] = 5;
    }
    free(keys); free(keys2); free(rows); free(rows2);
}

/* The floor: read and write every column once. */
void copy(const i64 *from, i64 *to, i64 n) { memcpy(to, from, n * sizeof(i64)); }

i64 gather(const i64 *from, const int32_t *at, i64 n)
{
    i64 sum = 0;
    for (i64 i = 0; i < n; i++) sum += from[at[i]];
    return sum;
}
