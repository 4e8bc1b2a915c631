//! A small writer of HTML. Every text goes through `escape`, whoever it is from; markup comes from here alone.

/// Text without what a browser would take for markup, in an element or in an attribute. Control characters, and characters
/// that reorder or hide others, are shown as they are in file names elsewhere.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in lungfish_data::display::escape(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

/// What stands in a line: text, with code and links in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Words(String);

impl Words {
    /// Text after it.
    pub(super) fn and(mut self, text: impl AsRef<str>) -> Self {
        self.0.push_str(&escape(text.as_ref()));
        self
    }

    /// A command, a file name or a key after it.
    pub(super) fn code(mut self, text: impl AsRef<str>) -> Self {
        self.0.push_str(&format!("<code>{}</code>", escape(text.as_ref())));
        self
    }

    /// What matters most after it.
    pub(super) fn strong(mut self, text: impl AsRef<str>) -> Self {
        self.0.push_str(&format!("<strong>{}</strong>", escape(text.as_ref())));
        self
    }

    /// A link to a place on the page after it.
    pub(super) fn link(mut self, id: &str, text: impl AsRef<str>) -> Self {
        self.0.push_str(&format!("<a href=\"#{}\">{}</a>", escape(id), escape(text.as_ref())));
        self
    }

    /// A link to a publication after it, by its DOI.
    pub(super) fn doi(mut self, doi: &str) -> Self {
        let doi = escape(doi);
        self.0.push_str(&format!("<a href=\"https://doi.org/{doi}\">doi.org/{doi}</a>"));
        self
    }
}

impl From<&str> for Words {
    fn from(text: &str) -> Self {
        Words::default().and(text)
    }
}

impl From<String> for Words {
    fn from(text: String) -> Self {
        Words::default().and(text)
    }
}

impl From<&String> for Words {
    fn from(text: &String) -> Self {
        Words::default().and(text)
    }
}

/// A table: what it shows, its columns, and rows whose first cell is what the row is about.
pub(super) struct Table {
    caption: Words,
    columns: Vec<Words>,
    rows: Vec<(Words, Vec<Words>)>,
    /// Whether cells are texts and not numbers.
    texts: bool,
}

impl Table {
    /// Of numbers.
    pub(super) fn new<W: Into<Words>>(caption: impl Into<Words>, columns: impl IntoIterator<Item = W>) -> Self {
        Table {
            caption: caption.into(),
            columns: columns.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
            texts: false,
        }
    }

    /// Of texts.
    pub(super) fn of_texts<W: Into<Words>>(caption: impl Into<Words>, columns: impl IntoIterator<Item = W>) -> Self {
        Table { texts: true, ..Table::new(caption, columns) }
    }

    pub(super) fn row<W: Into<Words>>(&mut self, head: impl Into<Words>, cells: impl IntoIterator<Item = W>) {
        self.rows.push((head.into(), cells.into_iter().map(Into::into).collect()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// A page that is being written.
#[derive(Default)]
pub(super) struct Page {
    body: String,
    contents: Vec<(String, String)>,
    /// Tables and figures so far, which number their names.
    named: usize,
}

impl Page {
    /// Begins a section, to which links lead by its id, and ends the one before.
    pub(super) fn section(&mut self, id: &str, title: &str) {
        self.end_section();
        self.contents.push((id.to_owned(), title.to_owned()));
        let (id, title) = (escape(id), escape(title));
        self.body
            .push_str(&format!("<section id=\"{id}\" aria-labelledby=\"{id}-h\">\n<h2 id=\"{id}-h\">{title}</h2>\n"));
    }

    fn end_section(&mut self) {
        if !self.contents.is_empty() {
            self.body.push_str("</section>\n");
        }
    }

    pub(super) fn heading(&mut self, text: &str) {
        self.element("h3", "", &text.into());
    }

    pub(super) fn paragraph(&mut self, words: impl Into<Words>) {
        self.element("p", "", &words.into());
    }

    /// What is not there, and how it comes there.
    pub(super) fn missing(&mut self, words: &Words) {
        self.element("p", "missing", words);
    }

    /// What must be known beside numbers.
    pub(super) fn caution(&mut self, words: impl Into<Words>) {
        self.element("p", "caution", &words.into());
    }

    /// Somebody's own text, which may have paragraphs.
    pub(super) fn prose(&mut self, text: &str) {
        for paragraph in paragraphs(text) {
            self.paragraph(paragraph);
        }
    }

    pub(super) fn list(&mut self, items: impl IntoIterator<Item = Words>) {
        let items: Vec<Words> = items.into_iter().collect();
        if items.is_empty() {
            return;
        }
        let items: String = items.iter().map(|item| format!("<li>{}</li>\n", item.0)).collect();
        self.body.push_str(&format!("<ul>\n{items}</ul>\n"));
    }

    /// Terms with what is said of each.
    pub(super) fn terms(&mut self, terms: impl IntoIterator<Item = (Words, Words)>) {
        let terms =
            terms.into_iter().map(|(term, said)| format!("<div><dt>{}</dt><dd>{}</dd></div>\n", term.0, said.0));
        self.body.push_str(&format!("<dl>\n{}</dl>\n", terms.collect::<String>()));
    }

    pub(super) fn table(&mut self, table: &Table) {
        self.named += 1;
        let name = format!("t{}", self.named);
        let head: String = table.columns.iter().map(|column| format!("<th scope=\"col\">{}</th>", column.0)).collect();
        let row = |(head, cells): &(Words, Vec<Words>)| {
            let cells: String = cells.iter().map(|cell| format!("<td>{}</td>", cell.0)).collect();
            format!("<tr><th scope=\"row\">{}</th>{cells}</tr>\n", head.0)
        };
        let class = if table.texts { " class=\"texts\"" } else { "" };
        self.body.push_str(&format!(
            "<div class=\"scroll\" role=\"region\" aria-labelledby=\"{name}\" tabindex=\"0\">\n<table{class}>\n\
             <caption id=\"{name}\"><span>{}</span></caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{}</tbody>\n</table>\n</div>\n",
            table.caption.0,
            table.rows.iter().map(row).collect::<String>()
        ));
    }

    /// A picture that is part of the page, with what it shows in words. Films are shown larger on paper than curves.
    pub(super) fn picture(&mut self, data: &str, films: bool, alternative: &str, caption: impl Into<Words>) {
        let class = if films { " class=\"films\"" } else { "" };
        self.body.push_str(&format!(
            "<figure{class}>\n<div class=\"paper\"><img src=\"{}\" alt=\"{}\"></div>\n<figcaption>{}</figcaption>\n</figure>\n",
            escape(data),
            escape(alternative),
            caption.into().0
        ));
    }

    /// A diagram that was drawn here (SVG, its texts escaped already), which scrolls where it is wider than the page.
    pub(super) fn diagram(&mut self, svg: &str, caption: impl Into<Words>) {
        self.named += 1;
        let name = format!("t{}", self.named);
        self.body.push_str(&format!(
            "<figure>\n<div class=\"scroll diagram\" role=\"region\" aria-labelledby=\"{name}\" tabindex=\"0\">\n{svg}\n</div>\n\
             <figcaption id=\"{name}\">{}</figcaption>\n</figure>\n",
            caption.into().0
        ));
    }

    /// Lines as they are.
    pub(super) fn lines(&mut self, title: &str, text: &str) {
        let lines: Vec<String> = text.lines().map(escape).collect();
        self.body.push_str(&format!(
            "<pre role=\"region\" aria-label=\"{}\" tabindex=\"0\">{}</pre>\n",
            escape(title),
            lines.join("\n")
        ));
    }

    fn element(&mut self, tag: &str, class: &str, words: &Words) {
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        self.body.push_str(&format!("<{tag}{class}>{}</{tag}>\n", words.0));
    }

    /// The whole document.
    pub(super) fn finish(mut self, title: &str, under: &[Words], foot: &[Words]) -> String {
        self.end_section();
        let line = |words: &Words| format!("<p>{}</p>\n", words.0);
        let lines = |of: &[Words]| of.iter().map(line).collect::<String>();
        let entry =
            |(id, title): &(String, String)| format!("<li><a href=\"#{}\">{}</a></li>\n", escape(id), escape(title));
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n{}\n\
             <title>{title}</title>\n<style>\n{}</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#main\">Skip to the text</a>\n\
             <header>\n<h1>{title}</h1>\n{}</header>\n<nav aria-label=\"Contents\">\n<ol>\n{}</ol>\n</nav>\n\
             <main id=\"main\" tabindex=\"-1\">\n{}</main>\n<footer>\n{}</footer>\n</body>\n</html>\n",
            super::PAGE_MARK,
            include_str!("style.css"),
            lines(under),
            self.contents.iter().map(entry).collect::<String>(),
            self.body,
            lines(foot),
            title = escape(title),
        )
    }
}

/// The paragraphs of a text, which an empty line parts.
pub(super) fn paragraphs(text: &str) -> Vec<String> {
    let mut paragraphs = vec![String::new()];
    for line in text.lines().map(str::trim) {
        let last = paragraphs.len() - 1;
        if line.is_empty() {
            paragraphs.push(String::new());
        } else {
            let between = if paragraphs[last].is_empty() { "" } else { " " };
            paragraphs[last].push_str(&format!("{between}{line}"));
        }
    }
    paragraphs.retain(|paragraph| !paragraph.is_empty());
    paragraphs
}

/// A metric with three digits, or a dash where it is undefined.
pub(super) fn metric(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"))
}

/// A metric with its interval.
pub(super) fn with_interval(value: Option<f64>, interval: Option<[f64; 2]>) -> String {
    match interval {
        Some([low, high]) => format!("{} ({low:.3} to {high:.3})", metric(value)),
        None => metric(value),
    }
}

/// A share in percent, or nothing of nothing.
pub(super) fn percent(part: usize, of: usize) -> String {
    if of == 0 { "–".to_owned() } else { format!("{:.1} %", 100.0 * part as f64 / of as f64) }
}

/// How often.
pub(super) fn times(count: usize) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{n} times"),
    }
}

/// 1 film, 2 films.
pub(super) fn some(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_markup() {
        let evil = "<script>alert('1')</script> & \"x\"";
        let safe = "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;x&quot;";
        assert_eq!(escape(evil), safe);
        assert_eq!(escape("a\u{202e}b\n"), "a\\u{202e}b\\x0a");
        let mut page = Page::default();
        page.section("a", evil);
        page.paragraph(Words::from(evil).code(evil).strong(evil).link(evil, evil));
        page.missing(&evil.into());
        page.caution(evil);
        page.prose(evil);
        page.list([evil.into()]);
        page.terms([(evil.into(), evil.into())]);
        let mut table = Table::new(evil, [evil]);
        table.row(evil, [evil]);
        page.table(&table);
        page.picture(evil, false, evil, evil);
        page.lines(evil, evil);
        page.heading(evil);
        let html = page.finish(evil, &[evil.into()], &[evil.into()]);
        assert!(!html.contains("<script") && !html.contains("alert('"), "{html}");
        assert!(html.matches(safe).count() >= 20, "{html}");
    }

    #[test]
    fn what_is_opened_is_closed() {
        let mut page = Page::default();
        page.section("a", "A");
        page.section("b", "B");
        page.list([]);
        let html = page.finish("T", &[], &[]);
        assert_eq!((html.matches("<section").count(), html.matches("</section>").count()), (2, 2));
        assert!(!html.contains("<ul>"));
        assert!(html.contains("<li><a href=\"#b\">B</a></li>"));
    }

    #[test]
    fn numbers_and_paragraphs() {
        assert_eq!(with_interval(Some(0.98765), Some([0.9, 1.0])), "0.988 (0.900 to 1.000)");
        assert_eq!((metric(None), with_interval(None, None)), ("–".to_owned(), "–".to_owned()));
        assert_eq!((percent(1, 3), percent(0, 0)), ("33.3 %".to_owned(), "–".to_owned()));
        assert_eq!((some(1, "film", "films"), some(2, "film", "films")), ("1 film".to_owned(), "2 films".to_owned()));
        assert_eq!(paragraphs(" a\nb\n\n\n c \n"), ["a b", "c"]);
        assert!(paragraphs("\n\n").is_empty());
    }
}
