//! Films that belong together: those of a patient, as a rule.

use std::collections::BTreeMap;

/// Films by cluster, the clusters in the order of their names, so that the order of the films changes nothing.
pub(crate) struct Clusters {
    /// The number of each film's cluster.
    pub of_film: Vec<usize>,
    /// The films, those of a cluster together.
    films: Vec<usize>,
    /// Where each cluster begins among them, and the end.
    starts: Vec<usize>,
}

impl Clusters {
    /// By the name of each film's cluster.
    pub fn new<C: Ord>(names: &[C]) -> Clusters {
        let mut films: Vec<usize> = (0..names.len()).collect();
        films.sort_unstable_by(|&a, &b| names[a].cmp(&names[b]).then(a.cmp(&b)));
        let (mut starts, mut of_film) = (vec![0], vec![0; names.len()]);
        for (number, cluster) in films.chunk_by(|&a, &b| names[a] == names[b]).enumerate() {
            cluster.iter().for_each(|&film| of_film[film] = number);
            starts.push(starts[number] + cluster.len());
        }
        Clusters { of_film, films, starts }
    }

    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// The films of a cluster.
    pub fn films(&self, cluster: usize) -> &[usize] {
        &self.films[self.starts[cluster]..self.starts[cluster + 1]]
    }

    /// The clusters of each stratum, in an order that depends on nothing but the names. A cluster whose films are of
    /// several strata is of a stratum of such clusters. A stratum of one cluster has no spread that could be drawn from
    /// and joins the largest one.
    pub fn strata<S: Ord>(&self, of_film: &[S]) -> Vec<Vec<usize>> {
        let mut strata: BTreeMap<Vec<&S>, Vec<usize>> = BTreeMap::new();
        for cluster in 0..self.len() {
            let mut kinds: Vec<&S> = self.films(cluster).iter().map(|&film| &of_film[film]).collect();
            kinds.sort_unstable();
            kinds.dedup();
            strata.entry(kinds).or_default().push(cluster);
        }
        let (alone, mut strata): (Vec<_>, Vec<_>) = strata.into_values().partition(|stratum| stratum.len() == 1);
        match strata.iter_mut().max_by_key(|stratum| stratum.len()) {
            Some(largest) => largest.extend(alone.into_iter().flatten()),
            None => strata.extend((!alone.is_empty()).then(|| alone.concat())),
        }
        strata
    }
}
