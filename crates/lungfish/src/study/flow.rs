//! From the films that were found to those that were called right: a diagram as STARD asks for, of numbers that the run has.

use lungfish_data::{Split, Task};

use super::found::Found;
use super::html::{escape, some};

/// Classes that are listed in a box; boxes of the result, at most.
const LISTED: usize = 6;
const BOXES: usize = 4;
/// The diagram's width, and what lies between boxes, in pixels.
const WIDTH: usize = 858;
const GAP: usize = 24;
const LINE: usize = 20;
const PAD: usize = 12;

/// A box with lines of text, the first of which is its title.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub lines: Vec<String>,
}

/// The numbers of the diagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flow {
    /// All films on the splits.
    pub all: Node,
    /// What is not among them; none where nothing is known of it.
    pub out: Option<Node>,
    /// Train, val and test.
    pub splits: Vec<Node>,
    /// Films that were scored; none without a test of test films.
    pub tested: Option<Node>,
    /// Whether these are films of the run's own test split.
    pub own: bool,
    /// What they were called, by what they are.
    pub called: Vec<Node>,
}

impl Flow {
    /// None where it is not known which films are on which split.
    pub(super) fn of(found: &Found) -> Option<Self> {
        let counts = found.counts.as_ref()?;
        let patients = |count: usize| {
            let of = some(count, "patient", "patients");
            if found.no_patients() { format!("{of} (each film as one)") } else { of }
        };
        let mut all = vec!["Films on the splits".to_owned()];
        all.push(some(counts.films(), "film", "films"));
        all.push(patients(counts.patients()));
        let title = |split| match split {
            Split::Train => "Train: learnt from",
            Split::Val => "Val: chose the epoch",
            Split::Test => "Test: kept for the test",
        };
        let splits = counts.splits.iter().map(|of| {
            let mut lines = vec![title(of.split).to_owned(), some(of.films, "film", "films"), patients(of.patients)];
            let classes = found.model.classes.iter().zip(&of.having);
            lines.extend(classes.take(LISTED).map(|(class, films)| format!("{class}: {films}")));
            if of.having.len() > LISTED {
                lines.push(format!("and {} more", of.having.len() - LISTED));
            }
            Node { lines }
        });
        let own = found.tested_own();
        let test = found.test().filter(|_| found.has_test());
        let tested = test.map(|test| {
            let whose = if own { "Tested" } else { "Tested: other films" };
            let mut lines = vec![whose.to_owned(), some(test.films, "film", "films")];
            let of_split = counts.split(Split::Test).map_or(0, |of| of.films);
            if own && of_split > test.films {
                lines.push(format!("{} of the split not scored", of_split - test.films));
            }
            Node { lines }
        });
        Some(Flow {
            all: Node { lines: all },
            out: out(found, own),
            splits: splits.collect(),
            tested,
            own,
            called: test.map(|test| called(found, &test.confusion)).unwrap_or_default(),
        })
    }

    /// The same in words, for those who do not see it.
    pub(super) fn words(&self) -> String {
        let node = |node: &Node| node.lines.join(", ");
        let mut parts = vec![node(&self.all)];
        parts.extend(self.out.iter().map(node));
        parts.extend(self.splits.iter().map(node));
        parts.extend(self.tested.iter().map(node));
        parts.extend(self.called.iter().map(node));
        parts.join(". ") + "."
    }

    /// The diagram. Its colours are the page's.
    pub(super) fn svg(&self) -> String {
        let mut svg = Svg::default();
        let third = (WIDTH - 2 * GAP) / 3;
        let middle = third + GAP;
        let top = svg.node(&self.all, (middle, 0, third), "");
        let mut below = top;
        if let Some(out) = &self.out {
            let bottom = svg.node(out, (middle + third + GAP, 0, third), "out");
            svg.line(&format!("M{} {} H{}", middle + third, top / 2, middle + third + GAP));
            below = below.max(bottom);
        }
        let (bend, row) = (below + GAP / 2, below + GAP);
        svg.line(&format!("M{} {top} V{bend}", middle + third / 2));
        svg.line(&format!("M{} {bend} H{}", third / 2, 2 * middle + third / 2));
        let lines = self.splits.iter().map(|node| node.lines.len()).max().unwrap_or(0);
        for (at, node) in self.splits.iter().enumerate() {
            let x = at * middle;
            svg.line(&format!("M{} {bend} V{row}", x + third / 2));
            below = svg.tall(node, (x, row, third), "", lines);
        }
        if let Some(tested) = &self.tested {
            let x = 2 * middle;
            let row = below + GAP;
            if self.own {
                svg.line(&format!("M{} {below} V{row}", x + third / 2));
            }
            below = svg.node(tested, (x, row, third), "");
            if !self.called.is_empty() {
                let width = (WIDTH - (self.called.len() - 1) * GAP) / self.called.len();
                let (bend, row) = (below + GAP / 2, below + GAP);
                let centre = |at: usize| at * (width + GAP) + width / 2;
                let ends = [centre(0).min(x + third / 2), centre(self.called.len() - 1).max(x + third / 2)];
                svg.line(&format!("M{} {below} V{bend}", x + third / 2));
                svg.line(&format!("M{} {bend} H{}", ends[0], ends[1]));
                let lines = self.called.iter().map(|node| node.lines.len()).max().unwrap_or(0);
                for (at, node) in self.called.iter().enumerate() {
                    svg.line(&format!("M{} {bend} V{row}", centre(at)));
                    below = svg.tall(node, (at * (width + GAP), row, width), "right", lines);
                }
            }
        }
        svg.finish(below, &self.words())
    }
}

/// What is not among the films of the splits, as far as the run or its test tells.
fn out(found: &Found, own: bool) -> Option<Node> {
    let mut lines = Vec::new();
    lines.extend(found.in_two_classes().map(|films| format!("{films} in two classes, left out")));
    // What the test found in the folder is of the run's folder where it is a test of the run's films.
    if let Some(test) = found.test().filter(|_| own) {
        lines.push(format!("{} that cannot be read", some(test.unreadable.len(), "film", "films")));
        let passed: usize = test.passed_over.iter().map(|kind| kind.count).sum();
        lines.push(format!("{} passed over", some(passed, "other file", "other files")));
    }
    if lines.is_empty() {
        return None;
    }
    lines.insert(0, "Not among them".to_owned());
    Some(Node { lines })
}

/// What the films of a test were called, by what they are: a box a class, or two boxes where there are many.
fn called(found: &Found, confusion: &[Vec<usize>]) -> Vec<Node> {
    let classes = &found.model.classes;
    if found.model.task == Task::AnyOf || confusion.len() != classes.len() {
        return Vec::new();
    }
    let positive = found.test().and_then(|test| test.positive.as_deref());
    if classes.len() > BOXES {
        let right: usize = confusion.iter().enumerate().filter_map(|(at, row)| row.get(at)).sum();
        let all: usize = confusion.iter().flatten().sum();
        let node = |title: &str, films| Node { lines: vec![title.to_owned(), some(films, "film", "films")] };
        return vec![node("Called what they are", right), node("Called otherwise", all.saturating_sub(right))];
    }
    let of = |(at, class): (usize, &String)| {
        let row = &confusion[at];
        let mut lines = vec![format!("{class}: {}", some(row.iter().sum(), "film", "films"))];
        for (to, films) in row.iter().enumerate().take(classes.len()) {
            let name = match positive {
                Some(positive) => match (class == positive, to == at) {
                    (true, true) => " (true positives)",
                    (true, false) => " (false negatives)",
                    (false, true) => " (true negatives)",
                    (false, false) => " (false positives)",
                },
                None => "",
            };
            lines.push(format!("called {}: {films}{name}", classes[to]));
        }
        Node { lines }
    };
    classes.iter().enumerate().map(of).collect()
}

#[derive(Default)]
struct Svg {
    marks: String,
}

impl Svg {
    /// Draws a box at a place of a width, and gives where it ends.
    fn node(&mut self, node: &Node, place: (usize, usize, usize), class: &str) -> usize {
        self.tall(node, place, class, node.lines.len())
    }

    /// The same, with room for more lines than it has.
    fn tall(&mut self, node: &Node, (x, y, width): (usize, usize, usize), class: &str, lines: usize) -> usize {
        let height = lines * LINE + 2 * PAD - 4;
        self.marks.push_str(&format!(
            "<g class=\"{class}\"><rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>\n"
        ));
        for (at, line) in node.lines.iter().enumerate() {
            let class = if at == 0 { " class=\"title\"" } else { "" };
            let text = escape(&cut(line, width));
            self.marks.push_str(&format!(
                "<text{class} x=\"{}\" y=\"{}\">{text}</text>\n",
                x + PAD,
                y + PAD + 11 + at * LINE
            ));
        }
        self.marks.push_str("</g>\n");
        y + height
    }

    fn line(&mut self, path: &str) {
        self.marks.push_str(&format!("<path d=\"{path}\"/>\n"));
    }

    fn finish(self, height: usize, words: &str) -> String {
        // Lines are as wide as they are drawn, at the edges too.
        format!(
            "<svg role=\"img\" aria-labelledby=\"flow-t flow-d\" viewBox=\"-2 -2 {} {}\" xmlns=\"http://www.w3.org/2000/svg\">\n\
             <title id=\"flow-t\">From the films that were found to what they were called</title>\n<desc id=\"flow-d\">{}</desc>\n{}</svg>",
            WIDTH + 4,
            height + 4,
            escape(words),
            self.marks
        )
    }
}

/// A line that fits into a box, its end cut off where it does not.
fn cut(line: &str, width: usize) -> String {
    // A letter is some 7.2 pixels wide.
    let most = (width - 2 * PAD) * 10 / 72;
    if line.chars().count() <= most {
        return line.to_owned();
    }
    line.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(lines: &[&str]) -> Node {
        Node { lines: lines.iter().map(|line| (*line).to_owned()).collect() }
    }

    #[test]
    fn the_diagram_and_its_words_have_every_number() {
        let flow = Flow {
            all: node(&["Films on the splits", "101 films"]),
            out: Some(node(&["Not among them", "7 films that cannot be read"])),
            splits: vec![node(&["Train", "61 films"]), node(&["Val", "23 films"]), node(&["Test", "17 films"])],
            tested: Some(node(&["Tested", "16 films"])),
            own: true,
            called: vec![node(&["<b>: 9 films", "called <b>: 8"]), node(&["C: 7 films", "called C: 5"])],
        };
        let svg = flow.svg();
        for text in
            ["101 films", "7 films that", "61 films", "23 films", "17 films", "16 films", "&lt;b&gt;: 8", "called C: 5"]
        {
            // In a box and in the words.
            assert_eq!(svg.matches(text).count(), 2, "{text}\n{svg}");
        }
        assert!(!svg.contains("<b>"));
        let lines = |svg: &str| svg.matches("<path").count();
        // Films of elsewhere do not come from the test split.
        assert_eq!(lines(&svg) - lines(&Flow { own: false, ..flow }.svg()), 1);
    }

    #[test]
    fn a_long_name_ends_in_its_box() {
        let long = cut(&"x".repeat(100), 268);
        assert_eq!((long.chars().count(), long.ends_with('…')), (33, true));
        assert_eq!(cut("short", 268), "short");
    }
}
