//! Every document, and every reference in it.

use docs::compatibility;
use docs::mention::{self, Mention};
use docs::repository::Repository;
use docs::title::has_test;

#[test]
fn every_test_that_the_compatibility_table_names_is_there() {
    let repository = Repository::here();
    let document = repository.read("docs/COMPAT.md").unwrap();
    let rows = compatibility::rows(&document);
    assert!(rows.len() > 100, "{} rows were found", rows.len());
    let mut wrong = Vec::new();
    for row in &rows {
        for file in row.files.iter().filter(|file| !file.ends_with('/') && repository.read(file).is_none()) {
            wrong.push(format!("line {}: there is no {file}", row.line));
        }
        for claim in &row.claims {
            let source = repository.read(&claim.file).unwrap_or_default();
            if !has_test(&claim.file, &source, &claim.test) {
                wrong.push(format!("line {}: {} has no test {:?}", row.line, claim.file, claim.test));
            }
        }
    }
    assert!(wrong.is_empty(), "docs/COMPAT.md:\n{}", wrong.join("\n"));
}

#[test]
fn whatever_works_names_what_shows_it() {
    let document = Repository::here().read("docs/COMPAT.md").unwrap();
    let rows = compatibility::rows(&document);
    let unshown: Vec<_> = rows.iter().filter(|row| row.works && row.files.is_empty()).collect();
    let unshown: Vec<_> = unshown
        .iter()
        .map(|row| row.feature.as_str())
        .filter(|feature| !UNTESTABLE.contains(feature))
        .collect();
    assert_eq!(unshown, Vec::<&str>::new());
}

#[test]
fn files_and_functions_that_the_documents_name_are_there() {
    let repository = Repository::here();
    let sources: Vec<(&String, String)> = repository
        .files()
        .iter()
        .filter(|file| file.ends_with(".rs"))
        .filter_map(|file| Some((file, repository.read(file)?)))
        .collect();
    let mut wrong = Vec::new();
    let mut checked = 0;
    for document in repository.files().iter().filter(|file| is_document(file)) {
        let text = repository.read(document).unwrap();
        for (line, mention) in mention::mentions(&text) {
            checked += 1;
            let found = match &mention {
                Mention::File(name) => repository.has(name) || ELSEWHERE.contains(&name.as_str()),
                Mention::Item { owner, name } => {
                    sources.iter().any(|(file, source)| mention::defines(file, source, owner, name))
                }
            };
            if !found {
                wrong.push(format!("{document}:{line}: {mention:?}"));
            }
        }
    }
    assert!(checked > 200, "only {checked} references were found");
    assert!(wrong.is_empty(), "not there:\n{}", wrong.join("\n"));
}

fn is_document(file: &str) -> bool {
    file.ends_with(".md") && (file.starts_with("docs/") || !file.contains('/'))
}

/// Features that consist in doing nothing.
const UNTESTABLE: [&str; 1] = ["`update_layers`"];
/// Files of an installation or of a run, which no repository has.
const ELSEWHERE: [&str; 1] = ["/etc/millrace/millrace.yaml"];
