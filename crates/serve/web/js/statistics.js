// Room for the arithmetic of a test: counts at a cut, curves, areas, and how sure a share is. Films of one patient are alike
// and count for less, as in `lungfish test`: Wilson's interval of as many films as are effective (Korn and Graubard).

const Z = 1.959963984540054;

/** Student's two-sided 95 % quantile (Abramowitz and Stegun 26.7.5; of one and two degrees of freedom exact). */
function quantile(freedom) {
  if (freedom < 1) return Infinity;
  if (freedom === 1) return 12.706204736;
  if (freedom === 2) return 4.302652730;
  const z = Z;
  return z + (z ** 3 + z) / (4 * freedom) + (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * freedom ** 2)
    + (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / (384 * freedom ** 3)
    + (79 * z ** 9 + 776 * z ** 7 + 1482 * z ** 5 - 1920 * z ** 3 - 945 * z) / (92160 * freedom ** 4);
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

/** A test of two classes: films with `has` (whether it is the positive class) and `p`. */
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

  auc() {
    if (!this.positives.length || !this.negatives.length) return null;
    const points = this.roc();
    let area = 0;
    for (let i = 1; i < points.length; i += 1) area += ((points[i][0] - points[i - 1][0]) * (points[i][1] + points[i - 1][1])) / 2;
    return area;
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
