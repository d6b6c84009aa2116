//! Links of the README files, of CONTRIBUTING.md and of CHANGELOG.md lead to files and headings.

use burn_distill_book::{files, root};
use pulldown_cmark::{Event, Options, Parser, Tag};
use std::fs;
use std::path::{Path, PathBuf};

/// Markdown files outside of the book.
fn documents() -> Vec<PathBuf> {
    let top = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| root().join(name));
    let folders = ["crates", "examples"].map(|folder| files(&root().join(folder), "md").unwrap());
    let mut documents: Vec<_> = top
        .into_iter()
        .chain(folders.into_iter().flatten())
        .collect();
    documents.push(root().join("docs/reference/README.md"));
    documents
}

/// Returns the targets of the links of a Markdown text.
fn links(text: &str) -> Vec<String> {
    let events = Parser::new_ext(text, Options::ENABLE_TABLES);
    let links = events.filter_map(|event| match event {
        Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
            Some(dest_url.to_string())
        }
        _ => None,
    });
    links.collect()
}

/// Returns the anchor that GitHub gives a heading.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = heading.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || "-_".contains(c) => Some(c),
        _ => None,
    });
    kept.collect()
}

/// Whether a file has the heading of an anchor.
fn has_heading(file: &Path, wanted: &str) -> bool {
    let text = fs::read_to_string(file).unwrap();
    let prose = text.split("```").step_by(2);
    let mut headings = prose
        .flat_map(str::lines)
        .filter(|line| line.starts_with('#'));
    headings.any(|line| anchor(line) == wanted)
}

#[test]
fn links_of_the_documents_resolve() {
    let mut broken = Vec::new();
    let mut checked = 0;
    for document in documents() {
        for link in links(&fs::read_to_string(&document).unwrap()) {
            // Links to items are those of the documentation of a crate.
            if link.contains("://") || link.contains("::") || link.starts_with("mailto:") {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target = match path {
                "" => document.clone(),
                path => document.parent().unwrap().join(path),
            };
            checked += 1;
            if !target.exists() || !(heading.is_empty() || has_heading(&target, heading)) {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(checked > 30, "only {checked} links");
}

#[test]
fn the_readme_is_short() {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    let lines = text.lines().count();
    assert!(lines < 200, "README.md has {lines} lines");
}

#[test]
fn the_book_shows_the_page_for_browsers_of_the_example() {
    let book = fs::read_to_string(root().join("docs/src/deploy.md")).unwrap();
    let page = fs::read_to_string(root().join("examples/deploy/web/index.html")).unwrap();
    assert!(
        book.contains(&format!("```html\n{page}```\n")),
        "copy examples/deploy/web/index.html to docs/src/deploy.md"
    );
}

#[test]
fn links_of_markdown_are_found() {
    let text = "A [page](docs/a.md#b), `[code](no.md)`.\n\n| a |\n| --- |\n| [b](c) |\n";
    assert_eq!(links(text), ["docs/a.md#b", "c"]);
    assert_eq!(anchor("## What `it` does, and how"), "what-it-does-and-how");
}
