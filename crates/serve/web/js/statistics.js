// Room for the arithmetic of a test: counts at a cut, curves, areas, and how sure a share is. Films of one patient are alike
// and count for less, as in `lungfish test`: Wilson's interval of as many films as are effective (Korn and Graubard), and of an
// area Obuchowski's.

const Z = 1.959963984540054;

/**
 * Student's two-sided 95 % quantile (Hill 1970, "Algorithm 396"), also of degrees of freedom that are no whole
 * number; between one and two it is too great rather than too small.
 */
function quantile(freedom) {
  if (freedom < 1) return Infinity;
  if (freedom === 1) return 12.706204736;
  if (freedom === 2) return 4.302652730;
  const p = 0.05;
  const a = 1 / (freedom - 0.5);
  const b = 48 / a ** 2;
  let c = ((20700 * a / b - 98) * a - 16) * a + 96.36;
  const d = ((94.5 / (b + c) - 3) / b + 1) * Math.sqrt(a * Math.PI / 2) * freedom;
  let y = (d * p) ** (2 / freedom);
  if (y <= 0.05 + a) {
    y = ((1 / (((freedom + 6) / (freedom * y) - 0.089 * d - 0.822) * (freedom + 2) * 3) + 0.5 / (freedom + 4)) * y - 1)
      * (freedom + 1) / (freedom + 2) + 1 / y;
    return Math.sqrt(freedom * y);
  }
  const x = -Z;
  y = x * x;
  if (freedom < 5) c += 0.3 * (freedom - 4.5) * (x + 0.6);
  c += (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b;
  y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x;
  return Math.sqrt(freedom * Math.expm1(a * y * y));
}

/** Wilson's 95 % interval of a share of films that need not be a whole number. */
function wilson(share, films) {
  const z2 = (Z * Z) / films;
  const centre = (share + z2 / 2) / (1 + z2);
  const distance = Math.sqrt(share * (1 - share) * z2 + (z2 * z2) / 4) / (1 + z2);
  return [share === 0 ? 0 : Math.max(0, Math.min(centre - distance, share)), share === 1 ? 1 : Math.min(1, Math.max(centre + distance, share))];
}

/** The share of films that `is` true of, with its interval; null of no film. */
export function share(films, is) {
  if (!films.length) return null;
  const yes = films.filter(is).length;
  const value = yes / films.length;
  const patients = new Map();
  for (const [at, film] of films.entries()) {
    const who = film.patient ?? `\u0000${at}`;
    const of = patients.get(who) ?? { all: 0, yes: 0 };
    of.all += 1;
    of.yes += is(film) ? 1 : 0;
    patients.set(who, of);
  }
  const clusters = patients.size;
  if (clusters < 2) return { value, yes, all: films.length, interval: null };
  let effective = clusters;
  const independent = (value * (1 - value)) / films.length;
  if (independent > 0) {
    let squares = 0;
    for (const of of patients.values()) squares += (of.yes - value * of.all) ** 2;
    const effect = ((squares * clusters) / (clusters - 1) / films.length ** 2) / independent;
    effective = Math.min(films.length, (films.length / effect) * (quantile(films.length - 1) / quantile(clusters - 1)) ** 2);
  }
  return { value, yes, all: films.length, interval: wilson(value, effective) };
}

/** Films of which it is known whether they have a class or label (`has`), with the probability of that (`p`). */
export class TwoClasses {
  constructor(films) {
    this.films = films;
    this.positives = films.filter(film => film.has);
    this.negatives = films.filter(film => !film.has);
    const sorted = [...films].sort((a, b) => b.p - a.p);
    /** From no film called to all: `{ cut, tp, fp }`, one a distinct probability. */
    this.points = [{ cut: Infinity, tp: 0, fp: 0 }];
    for (const film of sorted) {
      const last = this.points[this.points.length - 1];
      const at = last.cut === film.p ? last : { ...last, cut: film.p };
      if (at !== last) this.points.push(at);
      at[film.has ? "tp" : "fp"] += 1;
    }
  }

  /** The place among the points of a cut: the last that calls no film below it. */
  place(cut) {
    let [low, high] = [0, this.points.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.points[middle].cut >= cut) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  roc() {
    return this.points.map(({ tp, fp }) => [fp / this.negatives.length, tp / this.positives.length]);
  }

  precisionRecall() {
    return this.points.slice(1).map(({ tp, fp }) => [tp / this.positives.length, tp / (tp + fp)]);
  }

  /** In whole numbers, so that an area of 1 is one. */
  auc() {
    const [positives, negatives] = [this.positives.length, this.negatives.length];
    if (!positives || !negatives) return null;
    let twice = 0;
    for (let i = 1; i < this.points.length; i += 1) {
      const [before, at] = [this.points[i - 1], this.points[i]];
      twice += (at.tp - before.tp) * (2 * negatives - at.fp - before.fp);
    }
    return twice / (2 * positives * negatives);
  }

  /** The area under the ROC curve with its interval: Obuchowski's variance (1997), on the scale of the logit. */
  area() {
    const value = this.auc();
    if (value === null) return null;
    const { variance, freedom, pairs } = this.spread(value);
    if (value === 0 || value === 1) {
      // The variance says nothing; so many pairs that have neither film nor patient in common are all in one order.
      const bound = pairs ? 0.025 ** (1 / pairs) : 0;
      return { value, interval: value ? [bound, 1] : [0, 1 - bound] };
    }
    if (!(variance > 0)) return { value, interval: null };
    const [centre, distance] = [Math.log(value / (1 - value)), (quantile(freedom) * Math.sqrt(variance)) / (value * (1 - value))];
    const back = logit => 1 / (1 + Math.exp(-logit));
    return { value, interval: [Math.min(back(centre - distance), value), Math.max(back(centre + distance), value)] };
  }

  /** The variance of the area `mean`, films of a patient counted together, its degrees of freedom, and the disjoint pairs. */
  spread(mean) {
    const films = [this.negatives.length, this.positives.length];
    // How a film stands among those of the other class, a tie counting half: the same for all of a class and a probability.
    const placed = new Map();
    for (let i = 1; i < this.points.length; i += 1) {
      const [before, at] = [this.points[i - 1], this.points[i]];
      placed.set(at.cut, [(at.tp + before.tp) / 2 / films[1], 1 - (at.fp + before.fp) / 2 / films[0]]);
    }
    const patients = new Map();
    for (const [at, film] of this.films.entries()) {
      const who = film.patient ?? `\u0000${at}`;
      if (!patients.has(who)) patients.set(who, { sums: [0, 0], films: [0, 0] });
      const of = patients.get(who);
      const kind = film.has ? 1 : 0;
      of.sums[kind] += placed.get(film.p)[kind] - mean;
      of.films[kind] += 1;
    }
    const [squares, with_] = [[0, 0], [0, 0]];
    let product = 0;
    for (const of of patients.values()) {
      for (const kind of [0, 1]) {
        squares[kind] += of.sums[kind] ** 2;
        with_[kind] += of.films[kind] ? 1 : 0;
      }
      product += of.sums[0] * of.sums[1];
    }
    const all = patients.size;
    const pairs = Math.min(...with_, Math.floor(all / 2));
    if (Math.min(...with_) < 2) return { variance: null, freedom: Infinity, pairs };
    const corrected = (sum, of) => (sum * of) / (of - 1);
    const part = kind => corrected(squares[kind], with_[kind]) / films[kind] ** 2;
    const variance = Math.max(0, part(0) + part(1) + (2 * corrected(product, all)) / films[0] / films[1]);
    const freedom = (part(0) + part(1)) ** 2 / (part(0) ** 2 / (with_[0] - 1) + part(1) ** 2 / (with_[1] - 1));
    return { variance, freedom: freedom < all - 1 ? freedom : all - 1, pairs };
  }

  averagePrecision() {
    if (!this.positives.length) return null;
    let [sum, before] = [0, 0];
    for (const [recall, precision] of this.precisionRecall()) {
      sum += (recall - before) * precision;
      before = recall;
    }
    return sum;
  }

  /** What a cut does: the confusion matrix and the shares with their intervals. */
  at(cut) {
    const called = film => film.p >= cut;
    const [yes, no] = [this.films.filter(called), this.films.filter(film => !called(film))];
    return {
      measures: {
        sensitivity: share(this.positives, called),
        specificity: share(this.negatives, film => !called(film)),
        ppv: share(yes, film => film.has),
        npv: share(no, film => !film.has),
        accuracy: share(this.films, film => called(film) === film.has),
      },
      called,
    };
  }
}
