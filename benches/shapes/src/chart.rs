//! The kinds of charts: bars in groups, dots along a logarithmic axis, lines over a number.

use crate::statistics::Spread;
use crate::svg::{Anchor, Drawing};

/// Bars from left to right: a group for each label, a bar for each series, with the least and the most.
#[derive(Debug)]
pub struct Bars<'a> {
    pub title: &'a str,
    pub unit: &'a str,
    pub series: &'a [&'a str],
    pub groups: Vec<(String, Vec<Option<Spread>>)>,
    /// Where a line is drawn: what is aimed at.
    pub marks: Vec<(f64, &'a str)>,
}

impl Bars<'_> {
    #[must_use]
    pub fn draw(&self) -> String {
        let group_height = BAR * count(self.series) + 12.0;
        let (top, bottom) = (TOP, TOP + group_height * count(&self.groups));
        let spreads = self.groups.iter().flat_map(|(_, bars)| bars.iter().flatten());
        let scale =
            Scale::to(spreads.map(|spread| spread.max).chain(self.marks.iter().map(|(value, _)| *value)));
        let x = |value: f64| LEFT + scale.part(value) * (RIGHT - LEFT);
        let mut drawing = Drawing::new(WIDTH, bottom + 36.0, self.title);
        legend(&mut drawing, self.series);
        for value in scale.ticks() {
            drawing.line((x(value), top - 4.0), (x(value), bottom), "grid");
            drawing.text(x(value), bottom + 14.0, Anchor::Middle, "", &short(value));
        }
        drawing.text(RIGHT, bottom + 30.0, Anchor::End, "", self.unit);
        let mut y = top;
        for (label, bars) in &self.groups {
            drawing.text(LEFT - 8.0, y + (group_height - 12.0) / 2.0 + 4.0, Anchor::End, "", label);
            for (series, spread) in bars.iter().enumerate() {
                if let Some(Spread { median, min, max }) = *spread {
                    let middle = y + (BAR - 3.0) / 2.0;
                    drawing.bar(LEFT, y, x(median) - LEFT, BAR - 3.0, series);
                    if min < max {
                        drawing.line((x(min), middle), (x(max), middle), "range");
                    }
                    drawing.text(x(max) + 6.0, middle + 4.0, Anchor::Start, "", &short(median));
                }
                y += BAR;
            }
            y += 12.0;
        }
        for (value, label) in &self.marks {
            drawing.line((x(*value), top - 8.0), (x(*value), bottom), "mark");
            drawing.text(x(*value), top - 12.0, Anchor::Middle, "", label);
        }
        drawing.line((LEFT, top - 4.0), (LEFT, bottom), "axis");
        drawing.finish()
    }
}

/// A row for each label with a dot for each series, along an axis of powers of ten.
#[derive(Debug)]
pub struct Dots<'a> {
    pub title: &'a str,
    pub unit: &'a str,
    pub series: &'a [&'a str],
    pub rows: Vec<(String, Vec<Option<f64>>)>,
}

impl Dots<'_> {
    #[must_use]
    pub fn draw(&self) -> String {
        let (top, bottom) = (TOP, TOP + ROW * count(&self.rows));
        let values =
            || self.rows.iter().flat_map(|(_, dots)| dots.iter().flatten()).filter(|value| **value > 0.0);
        let low = values().fold(f64::INFINITY, |low, value| low.min(value.log10().floor())).min(0.0);
        let high = values().fold(low + 1.0, |high, value| high.max(value.log10().ceil()));
        let x = |value: f64| LEFT + (value.log10() - low) / (high - low) * (RIGHT - LEFT);
        let mut drawing = Drawing::new(WIDTH, bottom + 36.0, self.title);
        legend(&mut drawing, self.series);
        let mut power = low;
        while power <= high {
            let value = 10_f64.powf(power);
            drawing.line((x(value), top - 4.0), (x(value), bottom), "grid");
            drawing.text(x(value), bottom + 14.0, Anchor::Middle, "", &short(value));
            power += 1.0;
        }
        drawing.text(RIGHT, bottom + 30.0, Anchor::End, "", self.unit);
        let mut y = top + ROW / 2.0;
        for (label, dots) in &self.rows {
            drawing.text(LEFT - 8.0, y + 4.0, Anchor::End, "", label);
            let ends = dots.iter().flatten().copied().filter(|value| *value > 0.0);
            if let Some(Spread { min, max, .. }) = Spread::of(ends) {
                drawing.line((x(min), y), (x(max), y), "axis");
            }
            for (series, value) in dots.iter().enumerate() {
                if let Some(value) = value.filter(|value| *value > 0.0) {
                    drawing.dot(x(value), y, 4.5, series);
                }
            }
            y += ROW;
        }
        drawing.line((LEFT, top - 4.0), (LEFT, bottom), "axis");
        drawing.finish()
    }
}

/// A line for each series over a number that grows by factors.
#[derive(Debug)]
pub struct Lines<'a> {
    pub title: &'a str,
    pub unit: &'a str,
    pub below: &'a str,
    pub series: &'a [&'a str],
    pub lines: Vec<Vec<(f64, Spread)>>,
}

impl Lines<'_> {
    #[must_use]
    pub fn draw(&self) -> String {
        const BOTTOM: f64 = TOP + 220.0;
        let points = || self.lines.iter().flatten();
        let scale = Scale::to(points().map(|(_, spread)| spread.max));
        let first = points().fold(f64::INFINITY, |first, (at, _)| first.min(*at)).max(1.0);
        let last = points().fold(first * 2.0, |last, (at, _)| last.max(*at));
        let left = 64.0;
        let x = |at: f64| left + 24.0 + (at / first).ln() / (last / first).ln() * (RIGHT - left - 48.0);
        let y = |value: f64| BOTTOM - scale.part(value) * (BOTTOM - TOP);
        let mut drawing = Drawing::new(WIDTH, BOTTOM + 40.0, self.title);
        legend(&mut drawing, self.series);
        drawing.text(left - 8.0, TOP - 10.0, Anchor::End, "", self.unit);
        for value in scale.ticks() {
            drawing.line((left, y(value)), (RIGHT, y(value)), "grid");
            drawing.text(left - 8.0, y(value) + 4.0, Anchor::End, "", &short(value));
        }
        for (series, line) in self.lines.iter().enumerate() {
            let path: Vec<(f64, f64)> = line.iter().map(|(at, spread)| (x(*at), y(spread.median))).collect();
            drawing.path(&path, series);
            for (at, Spread { median, min, max }) in line {
                if min < max {
                    drawing.line((x(*at), y(*min)), (x(*at), y(*max)), "range");
                }
                drawing.dot(x(*at), y(*median), 4.0, series);
            }
        }
        for (at, _) in self.lines.first().into_iter().flatten() {
            drawing.text(x(*at), BOTTOM + 16.0, Anchor::Middle, "", &short(*at));
        }
        drawing.text(RIGHT, BOTTOM + 32.0, Anchor::End, "", self.below);
        drawing.line((left, BOTTOM), (RIGHT, BOTTOM), "axis");
        drawing.finish()
    }
}

/// From zero to a round number, in some five steps.
struct Scale {
    step: f64,
    end: f64,
}

impl Scale {
    fn to(values: impl Iterator<Item = f64>) -> Self {
        let max = values.fold(f64::MIN_POSITIVE, f64::max);
        let power = 10_f64.powf((max / 5.0).log10().floor());
        let rough = max / 5.0 / power;
        let step = power * [1.0, 2.0, 5.0].into_iter().find(|round| rough <= *round).unwrap_or(10.0);
        Self { step, end: (max / step).ceil() * step }
    }

    fn part(&self, value: f64) -> f64 {
        value / self.end
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let (step, end) = (self.step, self.end + self.step / 2.0);
        (0_u32..).map(move |count| f64::from(count) * step).take_while(move |value| *value < end)
    }
}

fn legend(drawing: &mut Drawing, names: &[&str]) {
    let mut x = 16.0;
    for (series, name) in names.iter().enumerate() {
        drawing.dot(x + 5.0, 38.0, 5.0, series);
        drawing.text(x + 16.0, 42.0, Anchor::Start, "", name);
        x += 34.0 + 7.0 * count(name.as_bytes());
    }
}

/// With three digits, and no zeros after the point.
fn short(value: f64) -> String {
    let digits = if value >= 99.95 {
        0
    } else if value >= 9.995 {
        1
    } else {
        2
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn count<T>(things: &[T]) -> f64 {
    u32::try_from(things.len()).map_or(0.0, f64::from)
}

const WIDTH: f64 = 760.0;
const LEFT: f64 = 130.0;
const RIGHT: f64 = 690.0;
const TOP: f64 = 76.0;
const BAR: f64 = 17.0;
const ROW: f64 = 24.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_at_a_round_number() {
        for (max, step, end) in [(2.3, 0.5, 2.5), (31.0, 10.0, 40.0), (150.0, 50.0, 150.0), (0.9, 0.2, 1.0)] {
            let scale = Scale::to([max / 2.0, max].into_iter());
            assert!(
                (scale.step - step).abs() < 1e-9 && (scale.end - end).abs() < 1e-9,
                "{max}: {} {}",
                scale.step,
                scale.end
            );
            assert!(scale.ticks().last().is_some_and(|last| (last - end).abs() < 1e-9), "{max}");
        }
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in
            [(0.0, "0"), (2.0, "2"), (1.234, "1.23"), (12.34, "12.3"), (150.4, "150"), (14_000.0, "14000")]
        {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn bars_without_a_value_are_left_out() {
        let spread = |median| Some(Spread { median, min: median, max: median });
        let bars = Bars {
            title: "t",
            unit: "us",
            series: &["epoll", "io_uring"],
            groups: vec![
                ("1-50".to_owned(), vec![spread(2.0), None]),
                ("10x10".to_owned(), vec![spread(1.0), spread(3.0)]),
            ],
            marks: vec![(2.0, "target")],
        };
        let text = bars.draw();
        assert_eq!(text.matches("<rect").count(), 3, "{text}");
        assert_eq!(text.matches(r#"class="mark""#).count(), 1);
    }

    #[test]
    fn nothing_is_drawn_as_nothing() {
        let bars = Bars { title: "t", unit: "", series: &[], groups: Vec::new(), marks: Vec::new() };
        let dots = Dots {
            title: "t",
            unit: "",
            series: &[],
            rows: vec![("idle".to_owned(), vec![None, Some(0.0)])],
        };
        let lines = Lines { title: "t", unit: "", below: "", series: &[], lines: vec![Vec::new()] };
        for text in [bars.draw(), dots.draw(), lines.draw()] {
            assert!(text.ends_with("</svg>\n") && !text.contains("NaN") && !text.contains("inf"), "{text}");
        }
    }
}
