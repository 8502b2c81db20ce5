//! The choice of parents.

use std::cmp::Ordering;

use crate::domain::spec::Selection;

use super::{draw::Draw, population::Member};

/// Chooses parents from a population; to be told whenever that changes.
#[derive(Debug, Clone)]
pub(super) struct Picker {
    selection: Selection,
    /// The positions of the scored members, best first; of equals the youngest.
    ranked: Vec<usize>,
    /// For rank and roulette: the sums of the shares up to each place of `ranked`.
    sums: Vec<f64>,
}

impl Picker {
    pub fn new(selection: Selection) -> Self {
        Self { selection, ranked: Vec::new(), sums: Vec::new() }
    }

    /// Takes notice of a population.
    pub fn refresh(&mut self, members: &[Member]) {
        self.ranked.clear();
        self.ranked.extend((0..members.len()).filter(|at| members[*at].scored()));
        self.ranked.sort_unstable_by(|a, b| order(&members[*a], &members[*b]));
        self.weigh(members);
    }

    /// Forgets the member at `at`, which is about to be replaced.
    pub fn remove(&mut self, at: usize) {
        if let Some(place) = self.ranked.iter().position(|other| *other == at) {
            self.ranked.remove(place);
        }
    }

    /// Takes notice of a scored member that has come; [`Self::weigh`] must follow before the
    /// next choice.
    pub fn insert(&mut self, members: &[Member], at: usize) {
        let before = |other: &usize| order(&members[*other], &members[at]).is_lt();
        self.ranked.insert(self.ranked.partition_point(before), at);
    }

    /// Shares out the chances of those in the ranking.
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2⁵³")]
    pub fn weigh(&mut self, members: &[Member]) {
        self.sums.clear();
        let count = self.ranked.len() as f64;
        let mut sum = 0.0;
        match self.selection {
            Selection::Tournament { .. } => {}
            Selection::Rank { pressure } => self.sums.extend((0..self.ranked.len()).map(|place| {
                let fall = if count > 1.0 { place as f64 / (count - 1.0) } else { 0.5 };
                sum += pressure - (2.0 * pressure - 2.0) * fall;
                sum
            })),
            Selection::Roulette => {
                let worst = self.ranked.last().map_or(0.0, |last| members[*last].fitness);
                let best = self.ranked.first().map_or(0.0, |first| members[*first].fitness);
                // Halved first, so that no difference overflows.
                let range = best / 2.0 - worst / 2.0;
                self.sums.extend(self.ranked.iter().map(|at| {
                    let above = members[*at].fitness / 2.0 - worst / 2.0;
                    sum += if range > 0.0 { above / range } else { 1.0 };
                    sum
                }));
            }
        }
    }

    /// The positions of the scored members, best first.
    pub fn ranked(&self) -> &[usize] {
        &self.ranked
    }

    /// The position of a parent; `None` if no member has a score.
    pub fn pick(&self, draw: &mut Draw) -> Option<usize> {
        let count = self.ranked.len();
        if count == 0 {
            return None;
        }
        let place = match self.selection {
            Selection::Tournament { size } => {
                (0..size.max(1)).map(|_| draw.below(count)).min().unwrap_or(0)
            }
            Selection::Rank { .. } | Selection::Roulette => {
                let at = draw.unit() * self.sums[count - 1];
                self.sums.partition_point(|sum| *sum <= at).min(count - 1)
            }
        };
        Some(self.ranked[place])
    }

    /// Another parent than `first`, where the population has two.
    pub fn pick_other(&self, first: usize, draw: &mut Draw) -> Option<usize> {
        let picks = (0..4).map_while(|_| self.pick(draw));
        if let Some(other) = picks.into_iter().find(|other| *other != first) {
            return Some(other);
        }
        // A selection that insists: anyone else.
        let others = self.ranked.len().checked_sub(1).filter(|others| *others > 0)?;
        let place = draw.below(others);
        let own = self.ranked.iter().position(|at| *at == first)?;
        Some(self.ranked[if place >= own { place + 1 } else { place }])
    }
}

/// Best first; of equals the youngest.
fn order(a: &Member, b: &Member) -> Ordering {
    b.fitness.total_cmp(&a.fitness).then(b.joined.cmp(&a.joined))
}

#[cfg(test)]
mod tests {
    use crate::domain::{genome::Genome, id::Slot};

    use super::*;
    use crate::evolution::{draw::Source, population::UNSCORED};

    const DRAWS: u32 = 100_000;

    fn members(fitness: &[f64]) -> Vec<Member> {
        let member = |(at, fitness): (usize, &f64)| Member {
            slot: Slot { generation: 0, index: at as u32 },
            genome: Genome::default(),
            fitness: *fitness,
            joined: at as u64,
        };
        fitness.iter().enumerate().map(member).collect()
    }

    /// How often each member was chosen.
    fn counts(selection: Selection, members: &[Member]) -> Vec<u32> {
        let mut picker = Picker::new(selection);
        picker.refresh(members);
        let mut draw = Source::new(11).at(Slot::default());
        let mut counts = vec![0; members.len()];
        for _ in 0..DRAWS {
            counts[picker.pick(&mut draw).unwrap()] += 1;
        }
        counts
    }

    /// Pearson's χ² against these shares must lie below the 99.9th percentile.
    fn follows(counts: &[u32], shares: &[f64]) {
        // Of χ² with 1 to 9 degrees of freedom.
        const LIMITS: [f64; 9] = [10.83, 13.82, 16.27, 18.47, 20.52, 22.46, 24.32, 26.12, 27.88];
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12, "the shares are wrong");
        let (mut chi, mut classes) = (0.0, 0usize);
        for (count, share) in counts.iter().zip(shares) {
            let expected = share * f64::from(DRAWS);
            if expected == 0.0 {
                assert_eq!(*count, 0, "it must never be chosen");
                continue;
            }
            classes += 1;
            chi += (f64::from(*count) - expected).powi(2) / expected;
        }
        assert!(chi < LIMITS[classes - 2], "χ² = {chi}: {counts:?}");
    }

    #[test]
    fn tournaments_follow_their_distribution() {
        let members = members(&[5.0, 1.0, 9.0, 3.0, 7.0]);
        for size in [1, 2, 3, 7] {
            // The chance that the best of `size` draws has place p of 5.
            let share = |place: i32| {
                let beaten = |p: i32| (f64::from(5 - p) / 5.0).powi(size);
                beaten(place) - beaten(place + 1)
            };
            let places = [2, 4, 0, 3, 1];
            let shares: Vec<_> = places.into_iter().map(share).collect();
            follows(&counts(Selection::Tournament { size: size as u32 }, &members), &shares);
        }
    }

    #[test]
    fn ranking_is_linear() {
        let members = members(&[5.0, 1.0, 1e300, 3.0, 7.0]);
        for pressure in [1.0, 1.5, 2.0] {
            let places = [2.0, 4.0, 0.0, 3.0, 1.0];
            let share = |place: f64| (pressure - (2.0 * pressure - 2.0) * place / 4.0) / 5.0;
            let shares: Vec<_> = places.into_iter().map(share).collect();
            follows(&counts(Selection::Rank { pressure }, &members), &shares);
        }
    }

    #[test]
    fn roulette_is_in_proportion_to_what_is_above_the_worst() {
        let some = members(&[-4.0, -10.0, 0.0, UNSCORED, -9.0]);
        let shares = [6.0 / 17.0, 0.0, 10.0 / 17.0, 0.0, 1.0 / 17.0];
        follows(&counts(Selection::Roulette, &some), &shares);
        let equal = members(&[3.0; 4]);
        follows(&counts(Selection::Roulette, &equal), &[0.25; 4]);
        let extreme = members(&[f64::MAX, f64::MIN, 0.0]);
        follows(&counts(Selection::Roulette, &extreme), &[2.0 / 3.0, 0.0, 1.0 / 3.0]);
    }

    #[test]
    fn a_ranking_that_is_kept_is_the_one_that_is_made_anew() {
        let mut draw = Source::new(6).at(Slot::default());
        let mut members = members(&[2.0, 1.0, 2.0, 0.0, 1.0, 3.0, 2.0]);
        let mut kept = Picker::new(Selection::Roulette);
        kept.refresh(&members);
        for joined in 7..500 {
            let at = draw.below(members.len());
            kept.remove(at);
            (members[at].fitness, members[at].joined) = (draw.below(4) as f64, joined);
            kept.insert(&members, at);
            kept.weigh(&members);
            let mut anew = Picker::new(Selection::Roulette);
            anew.refresh(&members);
            assert_eq!((&kept.ranked, &kept.sums), (&anew.ranked, &anew.sums));
        }
    }

    #[test]
    fn parents_have_scores_and_the_second_is_another() {
        for selection in [
            Selection::Tournament { size: 3 },
            Selection::Rank { pressure: 2.0 },
            Selection::Roulette,
        ] {
            let mut picker = Picker::new(selection);
            let mut draw = Source::new(5).at(Slot::default());
            picker.refresh(&members(&[UNSCORED, UNSCORED]));
            assert_eq!(picker.pick(&mut draw), None);
            picker.refresh(&members(&[UNSCORED, 1.0]));
            assert_eq!(picker.pick(&mut draw), Some(1));
            assert_eq!(picker.pick_other(1, &mut draw), None);
            picker.refresh(&members(&[0.0, UNSCORED, 1.0]));
            for _ in 0..100 {
                assert_eq!(picker.pick_other(2, &mut draw), Some(0));
                assert_eq!(picker.pick_other(0, &mut draw), Some(2));
            }
        }
    }
}
