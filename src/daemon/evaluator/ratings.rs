//! Ratings of players, and who plays whom.
//!
//! Ratings are those that make the results most likely by the model of Bradley and Terry (1952), on
//! Elo's scale (The Rating of Chessplayers, 1978): who is 400 points ahead wins ten times as often.
//! They depend on the results alone, not on their order. A draw counts as half a win, and everybody has one draw
//! against a player of 1500 beside, so that who has won or lost all is rated too.

use std::cmp::Ordering;

/// The rating of an average player.
const AVERAGE: f64 = 1500.0;
/// Rating points for a factor of e in the odds.
const SCALE: f64 = 400.0 / std::f64::consts::LN_10;
/// Rounds of the iteration; it converges much sooner.
const ROUNDS: usize = 1000;

/// What one player has won against another, of how many matches; a draw is half a win.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Tally {
    /// Matches won.
    pub won: f64,
    /// Matches played.
    pub played: f64,
}

impl Tally {
    /// Counts a match with these scores.
    pub fn count(&mut self, own: f64, other: f64) {
        self.played += 1.0;
        // Adding 0 leaves no zero below another one.
        self.won += match (own + 0.0).total_cmp(&(other + 0.0)) {
            Ordering::Greater => 1.0,
            Ordering::Equal => 0.5,
            Ordering::Less => 0.0,
        };
    }

    /// The same matches from the other side.
    #[must_use]
    pub fn turned(self) -> Self {
        Self { won: self.played - self.won, ..self }
    }
}

/// The ratings of players of whom `tallies[i][j]` is what `i` has won against `j`, by the iteration
/// of Hunter (MM algorithms for generalized Bradley-Terry models, 2004). Their mean is 1500.
#[must_use]
pub fn ratings(tallies: &[Vec<Tally>]) -> Vec<f64> {
    let mut strengths = vec![1.0_f64; tallies.len()];
    for _ in 0..ROUNDS {
        let mut change = 0.0_f64;
        for (i, row) in tallies.iter().enumerate() {
            let own = strengths[i];
            // The draw against the average player.
            let (mut won, mut share) = (0.5, 1.0 / (own + 1.0));
            for (tally, other) in row.iter().zip(&strengths) {
                won += tally.won;
                share += tally.played / (own + other);
            }
            strengths[i] = won / share;
            change = change.max((strengths[i] / own).ln().abs());
        }
        if change < 1e-12 {
            break;
        }
    }
    let own: Vec<_> = strengths.into_iter().map(|strength| SCALE * strength.ln()).collect();
    let mean = own.iter().sum::<f64>() / own.len().max(1) as f64;
    own.into_iter().map(|own| AVERAGE + own - mean).collect()
}

/// The rating of a player with these results against players of known ratings.
#[must_use]
pub fn rating(results: &[(f64, Tally)]) -> f64 {
    let expected = |own: f64, other: f64| 1.0 / (1.0 + ((other - own) / SCALE).exp());
    let won: f64 = 0.5 + results.iter().map(|(_, tally)| tally.won).sum::<f64>();
    let due = |own: f64| {
        let each = results.iter().map(|(other, tally)| tally.played * expected(own, *other));
        expected(own, AVERAGE) + each.sum::<f64>()
    };
    // What is due rises with the rating: by halves, to where it is what was won.
    let (mut low, mut high) = (AVERAGE - 10_000.0, AVERAGE + 10_000.0);
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if due(middle) < won { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// The pairs of the next round of a Swiss system: those who have as many points meet, as long as they
/// have not met before; of an odd number one rests, the last who has not yet. Of several equals,
/// who comes first is first. Nobody meets twice, or rests twice, in as many rounds as half of the players.
#[must_use]
pub fn pair(
    points: &[f64],
    met: &dyn Fn(usize, usize) -> bool,
    rested: &[bool],
) -> Vec<(usize, usize)> {
    let mut order: Vec<_> = (0..points.len()).collect();
    order.sort_by(|a, b| points[*b].total_cmp(&points[*a]).then(a.cmp(b)));
    // Of an odd number, who rests meets this one, the last.
    let rest = points.len();
    order.extend((rest % 2 == 1).then_some(rest));
    let fresh = |a: usize, b: usize| match (a == rest, b == rest) {
        (true, _) => !rested[b],
        (_, true) => !rested[a],
        _ => !met(a, b),
    };
    let (mut pairs, mut alone) = (Vec::new(), Vec::new());
    while !order.is_empty() {
        let first = order.remove(0);
        match order.iter().position(|other| fresh(first, *other)) {
            Some(next) => pairs.push((first, order.remove(next))),
            None => alone.push(first),
        }
    }
    // Who is alone has met all the others who are. As long as everybody has half of all left to meet,
    // two of them have more of these in the pairs than one a pair each: so there is a pair whose two
    // they can take (the argument of Dirac, Some Theorems on Abstract Graphs, 1952).
    while let (Some(y), Some(x)) = (alone.pop(), alone.pop()) {
        let apart = pairs.iter().enumerate().rev().find_map(|(at, (u, v))| {
            let ways = [(*u, *v), (*v, *u)].into_iter();
            ways.map(|(u, v)| (at, u, v)).find(|(_, u, v)| fresh(x, *u) && fresh(y, *v))
        });
        if let Some((at, u, v)) = apart {
            pairs[at] = (u, x);
            pairs.push((v, y));
        } else {
            pairs.push((x, y));
        }
    }
    pairs.retain(|(a, b)| *a != rest && *b != rest);
    pairs
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn tally(won: f64, played: f64) -> Tally {
        Tally { won, played }
    }

    #[test]
    fn who_wins_three_of_four_is_some_190_points_ahead() {
        // With many matches the draw beside them hardly counts: 400·log10(3) = 190.8.
        let (a, b) = (tally(7500.0, 10_000.0), tally(2500.0, 10_000.0));
        let found = ratings(&[vec![Tally::default(), a], vec![b, Tally::default()]]);
        assert!((found[0] - found[1] - 190.8).abs() < 0.5, "{found:?}");
        assert!((found[0] + found[1] - 2.0 * AVERAGE).abs() < 1e-6, "{found:?}");
        let alone = rating(&[(1400.0, a)]);
        assert!((alone - 1590.8).abs() < 0.5, "{alone}");
    }

    #[test]
    fn ratings_are_finite_and_in_order_whatever_the_results() {
        // Everybody beats whoever comes later.
        let all: Vec<Vec<_>> = (0..6)
            .map(|i: usize| {
                let won = |j: usize| if i < j { 4.0 } else { 0.0 };
                (0..6).map(|j| if i == j { Tally::default() } else { tally(won(j), 4.0) }).collect()
            })
            .collect();
        let found = ratings(&all);
        assert!(found.windows(2).all(|pair| pair[0] > pair[1] + 10.0), "{found:?}");
        assert!(found.iter().all(|rating| (0.0..3000.0).contains(rating)), "{found:?}");
        let never = rating(&[(1500.0, tally(0.0, 10.0))]);
        let always = rating(&[(1500.0, tally(10.0, 10.0))]);
        assert!(
            (never + always - 2.0 * AVERAGE).abs() < 1e-6 && always > 1900.0,
            "{never} {always}"
        );
        assert!((rating(&[]) - AVERAGE).abs() < 1e-6);
    }

    #[test]
    fn a_match_counts_as_won_drawn_or_lost() {
        let mut all = Tally::default();
        for (own, other) in [(3.0, 1.0), (1.0, 1.0), (0.0, 5.0)] {
            all.count(own, other);
        }
        assert_eq!(all, tally(1.5, 3.0));
        assert_eq!(all.turned(), tally(1.5, 3.0));
        assert_eq!(tally(1.0, 4.0).turned(), tally(3.0, 4.0));
    }

    #[test]
    fn equals_meet_and_nobody_twice() {
        let nobody = |_, _| false;
        assert_eq!(pair(&[0.0; 4], &nobody, &[false; 4]), [(0, 1), (2, 3)]);
        let points = [1.0, 0.0, 1.0, 0.0];
        assert_eq!(pair(&points, &nobody, &[false; 4]), [(0, 2), (1, 3)]);
        let met = |a, b| (a, b) == (0, 2) || (a, b) == (2, 0);
        assert_eq!(pair(&points, &met, &[false; 4]), [(0, 1), (2, 3)]);
        // Of five one rests, and another one the next time.
        let five = [1.0, 1.0, 0.0, 0.0, 0.0];
        assert_eq!(pair(&five, &nobody, &[false; 5]), [(0, 1), (2, 3)]);
        let rested = [false, false, false, false, true];
        assert_eq!(pair(&five, &nobody, &rested), [(0, 1), (2, 4)]);
        assert!(pair(&[0.0], &nobody, &[false]).is_empty());
    }

    #[test]
    fn nobody_meets_or_rests_twice_in_half_as_many_rounds_as_players() {
        for players in 2..=33 {
            for seed in 0..40_u64 {
                let mut draws = ChaCha8Rng::seed_from_u64(seed);
                let (mut met, mut rested) =
                    (vec![vec![false; players]; players], vec![false; players]);
                let mut points = vec![0.0; players];
                for round in 0..players.div_ceil(2) {
                    let pairs = pair(&points, &|a, b| met[a][b], &rested);
                    let mut at = vec![0; players];
                    for (a, b) in &pairs {
                        assert!(!met[*a][*b], "{players} players, seed {seed}, round {round}");
                        (met[*a][*b], met[*b][*a]) = (true, true);
                        at[*a] += 1;
                        at[*b] += 1;
                        points[if draws.random() { *a } else { *b }] += 1.0;
                    }
                    let rests: Vec<_> = (0..players).filter(|player| at[*player] == 0).collect();
                    assert_eq!(rests.len(), players % 2);
                    assert!(at.iter().all(|times| *times <= 1));
                    for player in rests {
                        assert!(!std::mem::replace(&mut rested[player], true));
                        points[player] += 1.0;
                    }
                }
            }
        }
    }
}
