//! The choice of parents.

use crate::domain::spec::Selection;

use super::{draw::Draw, population::Member};

/// Chooses parents from a population; to be refreshed whenever that changes.
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
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2⁵³")]
    pub fn refresh(&mut self, members: &[Member]) {
        self.ranked.clear();
        self.ranked.extend((0..members.len()).filter(|at| members[*at].scored()));
        self.ranked.sort_unstable_by(|a, b| {
            let (a, b) = (&members[*a], &members[*b]);
            b.fitness.total_cmp(&a.fitness).then(b.joined.cmp(&a.joined))
        });
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
