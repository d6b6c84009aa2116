//! The book can be read: its pages are listed, its links lead somewhere, and Markdown leaves its
//! mathematics alone.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src")
}

/// The pages, and what they say outside of blocks of code.
fn pages() -> Vec<(PathBuf, String)> {
    let mut pages = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                let text = fs::read_to_string(&path).unwrap();
                let prose = text.split("```").step_by(2).collect();
                pages.push((path, prose));
            }
        }
    }
    assert!(pages.len() > 20);
    pages
}

/// Returns the texts between two delimiters.
fn between<'a>(text: &'a str, open: &str, close: &str) -> Vec<&'a str> {
    let parts = text.split(open).skip(1);
    let inner = parts.filter_map(|part| Some(part.split_once(close)?.0));
    inner.collect()
}

/// The address of a heading within its page.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = heading.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || "-_".contains(c) => Some(c),
        _ => None,
    });
    kept.collect()
}

/// Whether Markdown takes two of the underscores of a paragraph for the ends of an emphasis.
fn emphasizes(paragraph: &str) -> bool {
    let chars: Vec<char> = format!(" {paragraph} ").chars().collect();
    let at_edge = |c: char| c.is_whitespace() || c.is_ascii_punctuation();
    let mut open = false;
    chars.windows(3).any(|around| {
        let &[before, '_', after] = around else {
            return false;
        };
        let closes = open && !before.is_whitespace() && at_edge(after);
        open |= before != '\\' && at_edge(before) && !after.is_whitespace();
        closes && before != '\\'
    })
}

#[test]
fn every_page_is_in_the_summary() {
    let summary = fs::read_to_string(root().join("SUMMARY.md")).unwrap();
    for (path, _) in pages() {
        let page = path.strip_prefix(root()).unwrap().to_str().unwrap();
        let listed = summary.contains(&format!("({page})"));
        assert!(listed || page == "SUMMARY.md", "{page} is not listed");
    }
}

#[test]
fn links_lead_to_pages_and_headings() {
    for (path, text) in pages() {
        for link in between(&text, "](", ")") {
            if link.starts_with("http") {
                continue;
            }
            let (page, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match page {
                "" => path.clone(),
                page => path.parent().unwrap().join(page),
            };
            let Ok(text) = fs::read_to_string(&target) else {
                panic!("{}: {link} leads nowhere", path.display());
            };
            let mut headings = text.lines().filter(|line| line.starts_with('#'));
            assert!(
                heading.is_empty() || headings.any(|line| anchor(line) == heading),
                "{}: {link} leads to no heading",
                path.display()
            );
        }
    }
}

#[test]
fn markdown_leaves_formulas_alone() {
    for (path, text) in pages() {
        let page = path.display();
        for (open, close) in [(r"\\(", r"\\)"), (r"\\[", r"\\]")] {
            let [opened, closed] = [open, close].map(|end| text.matches(end).count());
            assert_eq!(opened, closed, "{page}: {open} without {close}");
            for formula in between(&text, open, close) {
                // Of a backslash before punctuation nothing remains: `\,` is written `\\,`, which
                // is why an underscore may be written `\_`.
                let single = formula.replace(r"\\", "").replace(r"\_", "_");
                let lost = |rest: &str| rest.starts_with(|c: char| c.is_ascii_punctuation());
                let whole = !single.split('\\').skip(1).any(lost) && !formula.contains('*');
                assert!(whole, "{page}: {formula}");

                let lines = formula.lines().skip(1).map(str::trim_start);
                let mut items = lines.filter(|line| line.starts_with(['+', '-', '#', '>']));
                assert_eq!(items.next(), None, "{page}: a line starts like an item");
            }
        }
        for paragraph in text.split("\n\n") {
            // Every other part is code.
            let prose: String = paragraph.split('`').step_by(2).collect();
            assert!(!emphasizes(&prose), "{page}: write `\\_` in {paragraph}");
        }
    }
}

#[test]
fn underscores_after_punctuation_may_emphasize() {
    assert!(emphasizes(r"\mathrm{MLP}_i(x) + a_{ij}"));
    assert!(emphasizes("_so_"));
    assert!(!emphasizes(r"\mathrm{MLP}\_i(x) + a_{ij}"));
    assert!(!emphasizes(r"a_{ij} + \mathrm{MLP}_i(x)"));
    assert!(!emphasizes("x_i + y_j"));
}
