//! The book builds without warnings, and its pages link to pages and headings that exist.

mod warnings;

use burn_distill_book::{files, root};
use mdbook_driver::MDBook;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use warnings::Warnings;

/// Returns the values of an attribute in HTML that mdBook has written.
fn attributes<'a>(html: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let opening = format!(" {name}=\"");
    let starts: Vec<_> = html.match_indices(&opening).collect();
    starts.into_iter().map(move |(at, opening)| {
        let value = &html[at + opening.len()..];
        value.split('"').next().unwrap()
    })
}

/// Every page of the book as HTML, by its path within `folder`.
fn pages(folder: &Path) -> BTreeMap<PathBuf, String> {
    let paths = files(folder, "html").unwrap().into_iter();
    let pages = paths.map(|path| {
        let html = fs::read_to_string(&path).unwrap();
        (path.strip_prefix(folder).unwrap().to_path_buf(), html)
    });
    pages.collect()
}

/// Joins a link with the folder of its page, without `.` and `..`.
fn join(page: &Path, link: &str) -> PathBuf {
    let mut joined = page.parent().unwrap().to_path_buf();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => assert!(joined.pop(), "{}: {link} leaves the book", page.display()),
            part => joined.push(part),
        }
    }
    joined
}

#[test]
fn the_book_builds_without_warnings_and_its_links_resolve() {
    let built = tempfile::tempdir().unwrap();
    let warnings = Warnings::collect(|| {
        let mut book = MDBook::load(root().join("docs")).unwrap();
        book.config.build.build_dir = built.path().to_path_buf();
        book.build().unwrap();
    });
    assert!(warnings.is_empty(), "{warnings:#?}");

    let pages = pages(built.path());
    assert!(pages.len() > 90, "only {} pages", pages.len());
    let ids: BTreeMap<&PathBuf, BTreeSet<&str>> = pages
        .iter()
        .map(|(path, html)| (path, attributes(html, "id").collect()))
        .collect();
    let mut broken = Vec::new();
    let mut anchors = 0;
    for (page, html) in &pages {
        // Its links are relative to other pages, and it repeats what is checked there.
        if page == Path::new("print.html") || page == Path::new("404.html") {
            continue;
        }
        for link in attributes(html, "href").chain(attributes(html, "src")) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => page.clone(),
                file => join(page, file),
            };
            anchors += usize::from(!anchor.is_empty());
            let resolves = match ids.get(&target) {
                Some(ids) => anchor.is_empty() || ids.contains(anchor),
                None => anchor.is_empty() && built.path().join(&target).is_file(),
            };
            if !resolves {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(anchors > 20, "only {anchors} links to headings");
}

#[test]
fn a_warning_of_the_build_is_collected() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    let page = |name: &str, text: &str| fs::write(folder.path().join("src").join(name), text);
    page("SUMMARY.md", "- [One](one.md)\n").unwrap();
    page("one.md", "# One\n\n</div>\n").unwrap();

    let warnings = Warnings::collect(|| MDBook::load(folder.path()).unwrap().build().unwrap());
    assert!(!warnings.is_empty());
}

/// Returns the pages of the methods, with their text.
fn methods() -> Vec<(PathBuf, String)> {
    let source = root().join("docs/src");
    let folders = ["response", "feature", "relation", "strategy"];
    let pages = folders
        .iter()
        .flat_map(|kind| files(&source.join(kind), "md").unwrap());
    let pages = pages.map(|path| {
        let text = fs::read_to_string(&path).unwrap();
        (path, text)
    });
    let pages: Vec<_> = pages.collect();
    assert!(pages.len() > 75, "only {} methods", pages.len());
    pages
}

#[test]
fn every_page_of_a_method_opens_with_what_it_does_and_when_to_use_it() {
    for (path, text) in methods() {
        let page = path.display();
        let mut parts = text.split("\n\n");
        let title = parts.next().unwrap();
        assert!(title.starts_with("# "), "{page}: {title}");
        let opening = parts.next().unwrap().replace('\n', " ");
        let does = opening.starts_with(|first: char| first.is_uppercase());
        let when = opening.contains(". Use it ") || opening.contains(". Start here ");
        assert!(does && when, "{page}: {opening}");
    }
}

#[test]
fn every_page_of_a_method_has_the_same_sections() {
    for (path, text) in methods() {
        for section in ["When to use it", "What is reported", "Traps"] {
            let found = text.contains(&format!("\n## {section}\n"));
            assert!(found, "{}: no section `{section}`", path.display());
        }
    }
}

#[test]
fn every_title_is_the_same_in_the_list_of_pages() {
    let summary = fs::read_to_string(root().join("docs/src/SUMMARY.md")).unwrap();
    for (path, text) in methods() {
        let folder = path.parent().unwrap().file_name().unwrap().display();
        let page = path.file_name().unwrap().display();
        let title = text.lines().next().unwrap().trim_start_matches("# ");
        let line = format!("- [{title}]({folder}/{page})\n");
        assert!(summary.contains(&line), "SUMMARY.md: expected {line}");
    }
}
