//! One line of the table: figures of several contenders, ours in relation to the others, and what must hold.

use serde_json::{Map, Value, json};

/// A measured cell, or the reason why it is not one.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub(super) id: &'static str,
    pub(super) what: String,
    pub(super) unit: &'static str,
    pub(super) better: Better,
    /// Whose figures are compared with the others'.
    pub(super) subject: &'static str,
    /// Round by round, or a single figure.
    pub(super) values: Vec<(&'static str, Vec<f64>)>,
    pub(super) floors: Vec<Bound>,
    pub(super) goals: Vec<Bound>,
    /// Why it counts for nothing, where it does not.
    pub(super) refused: Option<String>,
    pub(super) notes: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Better {
    Higher,
    Lower,
}

/// What ours must reach.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    /// A contender, whose figure ours is divided by; `ITSELF` for the figure as it is.
    pub(super) against: &'static str,
    pub(super) limit: f64,
}

/// Bounds of a figure itself.
pub(super) const ITSELF: &str = "absolute";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Met,
    Missed,
    /// There is nothing to reach.
    Shown,
    /// Why there is no figure, or none that counts.
    Unmeasured(String),
}

/// Least, median and most of something.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) low: f64,
    pub(super) middle: f64,
    pub(super) high: f64,
}

impl Spread {
    /// `None` of nothing.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (low, high) = (*sorted.first()?, *sorted.last()?);
        let half = sorted.len() / 2;
        let middle = if sorted.len() % 2 == 1 { sorted[half] } else { f64::midpoint(sorted[half - 1], sorted[half]) };
        Some(Self { low, middle, high })
    }
}

impl Cell {
    pub(super) fn new(id: &'static str, what: impl Into<String>, unit: &'static str, better: Better) -> Self {
        Self {
            id,
            what: what.into(),
            unit,
            better,
            subject: "",
            values: Vec::new(),
            floors: Vec::new(),
            goals: Vec::new(),
            refused: None,
            notes: Vec::new(),
        }
    }

    /// A cell that cannot be measured here, and why.
    pub(super) fn unmeasured(id: &'static str, what: impl Into<String>, why: impl Into<String>) -> Self {
        let cell = Self::new(id, what, "", Better::Higher);
        Self { refused: Some(why.into()), ..cell }
    }

    /// `floors` and `goals` are what `subject` must and should reach against others.
    pub(super) fn of(
        mut self,
        subject: &'static str,
        values: Vec<(&'static str, Vec<f64>)>,
        floors: &[(&'static str, f64)],
        goals: &[(&'static str, f64)],
    ) -> Self {
        let bounds = |bounds: &[(&'static str, f64)]| {
            bounds.iter().map(|&(against, limit)| Bound { against, limit }).collect::<Vec<_>>()
        };
        (self.subject, self.values) = (subject, values);
        (self.floors, self.goals) = (bounds(floors), bounds(goals));
        self
    }

    pub(super) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    pub(super) fn values_of(&self, name: &str) -> Option<&[f64]> {
        self.values
            .iter()
            .find(|(own, _)| *own == name)
            .map(|(_, values)| &values[..])
            .filter(|values| !values.is_empty())
    }

    /// Ours over `name`'s, each ratio within its round.
    pub(super) fn ratio(&self, name: &str) -> Option<Spread> {
        let own = self.values_of(self.subject)?;
        if name == ITSELF {
            return Spread::of(own.iter().copied());
        }
        let ratios = own.iter().zip(self.values_of(name)?).map(|(own, other)| own / other);
        Spread::of(ratios.filter(|ratio| ratio.is_finite()))
    }

    /// Whether the median reaches the bound; `None` where it cannot be known.
    pub(super) fn reaches(&self, bound: &Bound) -> Option<bool> {
        let ratio = self.ratio(bound.against)?.middle;
        Some(match self.better {
            Better::Higher => ratio >= bound.limit,
            Better::Lower => ratio <= bound.limit,
        })
    }

    pub(super) fn verdict(&self) -> Verdict {
        if let Some(why) = &self.refused {
            return Verdict::Unmeasured(why.clone());
        }
        if self.floors.is_empty() {
            return Verdict::Shown;
        }
        let reached: Vec<Option<bool>> = self.floors.iter().map(|floor| self.reaches(floor)).collect();
        if reached.contains(&Some(false)) {
            return Verdict::Missed;
        }
        match self.floors.iter().zip(&reached).find(|(_, reached)| reached.is_none()) {
            Some((floor, _)) => Verdict::Unmeasured(format!("there is no figure of {}", floor.against)),
            None => Verdict::Met,
        }
    }

    pub(super) fn json(&self) -> Value {
        let others = self.values.iter().map(|(name, _)| *name).filter(|name| *name != self.subject);
        let ratios: Vec<(&str, Spread)> = others.filter_map(|name| Some((name, self.ratio(name)?))).collect();
        let map = |bounds: &[Bound]| -> Map<String, Value> {
            bounds.iter().map(|bound| (bound.against.to_owned(), bound.limit.into())).collect()
        };
        let verdict = self.verdict();
        json!({
            "id": self.id,
            "what": self.what,
            "unit": self.unit,
            "better": if self.better == Better::Higher { "higher" } else { "lower" },
            "subject": self.subject,
            "values": self.values.iter().map(|(name, values)| ((*name).to_owned(), json!(values))).collect::<Map<_, _>>(),
            "ratios": ratios.iter().map(|(name, spread)| ((*name).to_owned(), spread.middle.into())).collect::<Map<_, _>>(),
            "spread": ratios.iter().map(|(name, spread)| ((*name).to_owned(), json!([spread.low, spread.high]))).collect::<Map<_, _>>(),
            "floors": map(&self.floors),
            "goals": map(&self.goals),
            "met": match verdict { Verdict::Met => json!(true), Verdict::Missed => json!(false), _ => Value::Null },
            "unmeasured": match &verdict { Verdict::Unmeasured(why) => json!(why), _ => Value::Null },
            "notes": self.notes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(better: Better, ours: &[f64], theirs: &[f64], limit: f64) -> Cell {
        let values = vec![("ours", ours.to_vec()), ("envoy", theirs.to_vec())];
        Cell::new("P1", "", "req/s", better).of("ours", values, &[("envoy", limit)], &[])
    }

    #[test]
    fn the_median_of_the_rounds_ratios_decides() {
        let of = |better, limit| cell(better, &[10.0, 20.0, 90.0], &[10.0, 10.0, 30.0], limit).verdict();
        assert_eq!(of(Better::Higher, 2.0), Verdict::Met);
        assert_eq!(of(Better::Higher, 2.1), Verdict::Missed);
        assert_eq!(of(Better::Lower, 2.0), Verdict::Met);
        assert_eq!(of(Better::Lower, 1.9), Verdict::Missed);
    }

    #[test]
    fn what_was_not_measured_is_neither_met_nor_missed() {
        let mut cell = cell(Better::Higher, &[10.0], &[], 2.0);
        assert_eq!(cell.verdict(), Verdict::Unmeasured("there is no figure of envoy".to_owned()));
        cell.refused = Some("noise".to_owned());
        assert_eq!(cell.verdict(), Verdict::Unmeasured("noise".to_owned()));
        assert_eq!(cell.json()["met"], Value::Null);
    }

    #[test]
    fn a_missed_floor_counts_though_another_is_unknown() {
        let values = vec![("ours", vec![1.0]), ("envoy", vec![1.0])];
        let floors = [("envoy", 2.0), ("haproxy", 1.0)];
        assert_eq!(Cell::new("P1", "", "", Better::Higher).of("ours", values, &floors, &[]).verdict(), Verdict::Missed);
    }

    #[test]
    fn an_even_number_of_rounds_has_a_median_between_two() {
        assert_eq!(Spread::of([4.0, 1.0, 3.0, 2.0]), Some(Spread { low: 1.0, middle: 2.5, high: 4.0 }));
        assert_eq!(Spread::of([]), None);
    }
}
