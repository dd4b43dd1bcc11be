//! What the shop sells. Fixed: a demonstration that needs a database is not one.

use serde_json::{Value, json};

/// Title, author, year; a book's id is its place, counted from 1.
const BOOKS: [(&str, &str, u16); 8] = [
    ("Don Quixote", "Miguel de Cervantes", 1605),
    ("Pride and Prejudice", "Jane Austen", 1813),
    ("Frankenstein", "Mary Shelley", 1818),
    ("Moby-Dick", "Herman Melville", 1851),
    ("Emma", "Jane Austen", 1815),
    ("Middlemarch", "George Eliot", 1871),
    ("Crime and Punishment", "Fyodor Dostoevsky", 1866),
    ("The Trial", "Franz Kafka", 1925),
];

/// What is at a path below `/api`, and what to call it.
pub(crate) fn find(path: &str) -> Option<(&'static str, Value)> {
    match path {
        "/api/books" => Some(("books", (1..=BOOKS.len()).filter_map(book).collect())),
        "/api/authors" => Some(("authors", authors())),
        _ => {
            let id = path.strip_prefix("/api/books/")?.parse().ok()?;
            Some(("book", book(id)?))
        }
    }
}

fn book(id: usize) -> Option<Value> {
    let (title, author, year) = BOOKS.get(id.checked_sub(1)?)?;
    Some(json!({ "id": id, "title": title, "author": author, "year": year }))
}

fn authors() -> Value {
    let mut names: Vec<&str> = BOOKS.iter().map(|(_, author, _)| *author).collect();
    names.sort_unstable();
    names.dedup();
    json!(names)
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn paths_lead_to_books() {
        assert_eq!(
            find("/api/books").unwrap().1.as_array().map(Vec::len),
            Some(8)
        );
        assert_eq!(
            find("/api/authors").unwrap().1.as_array().map(Vec::len),
            Some(7)
        );
        assert_eq!(find("/api/books/2").unwrap().1["author"], "Jane Austen");
        for path in [
            "/api",
            "/api/books/",
            "/api/books/0",
            "/api/books/9",
            "/api/books/x",
        ] {
            assert_eq!(find(path), None, "{path}");
        }
    }
}
