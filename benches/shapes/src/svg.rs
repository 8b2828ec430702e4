//! Drawings as SVG: lines, bars and words, legible on light and on dark ground.

use std::fmt::Write;

#[derive(Debug)]
pub struct Drawing {
    width: f64,
    height: f64,
    title: String,
    body: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

impl Drawing {
    #[must_use]
    pub fn new(width: f64, height: f64, title: &str) -> Self {
        let mut drawing = Self { width, height, title: title.to_owned(), body: String::new() };
        drawing.text(MARGIN, 22.0, Anchor::Start, "title", title);
        drawing
    }

    pub fn text(&mut self, x: f64, y: f64, anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escaped(text);
        let _ = writeln!(
            self.body,
            r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#
        );
    }

    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let _ = writeln!(
            self.body,
            r#"<line class="{class}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#
        );
    }

    /// A bar from left to right; `series` chooses its colour, as below.
    pub fn bar(&mut self, x: f64, y: f64, width: f64, height: f64, series: usize) {
        let class = colour(series);
        let _ = writeln!(
            self.body,
            r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="2"/>"#
        );
    }

    pub fn dot(&mut self, x: f64, y: f64, radius: f64, series: usize) {
        let class = colour(series);
        let _ = writeln!(self.body, r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="{radius:.1}"/>"#);
    }

    pub fn path(&mut self, points: &[(f64, f64)], series: usize) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let class = colour(series);
        let _ = writeln!(self.body, r#"<polyline class="stroke {class}" points="{}"/>"#, points.join(" "));
    }

    #[must_use]
    pub fn finish(self) -> String {
        let Self { width, height, title, body } = self;
        let title = escaped(&title);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
             height=\"{height:.0}\" role=\"img\">\n<title>{title}</title>\n<style>{STYLE}</style>\n{body}</svg>\n"
        )
    }
}

fn colour(series: usize) -> &'static str {
    ["a", "b", "c", "d"].get(series % 4).copied().unwrap_or("a")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The ground is whatever the page has; colours and words are told apart on both.
const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#57606a}.title{font-weight:600;font-size:14px;fill:#24292f}\
.axis{stroke:#8c959f;stroke-width:1}.grid{stroke:#8c959f;stroke-width:.5;opacity:.4}\
.mark{stroke:#cf222e;stroke-width:1.2;stroke-dasharray:5 4}.range{stroke:#57606a;stroke-width:1.2}\
.a{fill:#2f81f7}.b{fill:#d29922}.c{fill:#2da44e}.d{fill:#a371f7}\
.stroke{fill:none;stroke-width:2}.stroke.a{stroke:#2f81f7}.stroke.b{stroke:#d29922}.stroke.c{stroke:#2da44e}\
.stroke.d{stroke:#a371f7}\
@media(prefers-color-scheme:dark){text{fill:#9198a1}.title{fill:#f0f6fc}.range{stroke:#9198a1}}";
const MARGIN: f64 = 16.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_escaped() {
        let mut drawing = Drawing::new(100.0, 50.0, "a < b");
        drawing.text(1.0, 2.0, Anchor::End, "", "p > 1 & more");
        let text = drawing.finish();
        assert!(text.contains("<title>a &lt; b</title>"), "{text}");
        assert!(text.contains(">p &gt; 1 &amp; more</text>"), "{text}");
    }
}
