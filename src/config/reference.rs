//! `docs/configuration.md`, made of the structs that read the configuration: their doc comments, types and
//! defaults. Nothing of it is written by hand, and a test fails when it is not current.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};
use std::path::Path;

use syn::{Attribute, Expr, Field, Fields, Item, Lit, Meta, Type};

use crate::reload::LIVE;

/// A table of the file: its key, what is said of it, and the struct that reads it.
struct Table {
    key: &'static str,
    /// Whether there may be any number of it.
    is_list: bool,
    source: &'static str,
    name: &'static str,
}

const fn table(key: &'static str, source: &'static str, name: &'static str) -> Table {
    Table { key, is_list: false, source, name }
}

const fn list(key: &'static str, source: &'static str, name: &'static str) -> Table {
    Table { is_list: true, ..table(key, source, name) }
}

const ORIGIN: &str = include_str!("../../origin/src/config.rs");
const ALL: [Table; 11] = [
    table("", include_str!("../config.rs"), "Config"),
    table("telemetry", include_str!("../telemetry/config.rs"), "Config"),
    table("origin", ORIGIN, "Config"),
    table("origin.limits", include_str!("../../origin/src/ingest/rtmp/server.rs"), "Config"),
    table("origin.oidc", include_str!("../../origin/src/oidc/config.rs"), "Written"),
    table("edge", include_str!("../../edge/src/config.rs"), "Config"),
    table("edge.playout_delay", include_str!("../../edge/src/whep/playout.rs"), "Limits"),
    list("edge.ice_servers", include_str!("../../edge/src/whep/ice_servers.rs"), "IceServer"),
    list("broadcast", ORIGIN, "BroadcastConfig"),
    list("broadcast.links", ORIGIN, "LinkConfig"),
    list("viewer_key", ORIGIN, "ViewerKeyConfig"),
];

const HEAD: &str = "\
# Configuration

Made from the source by `src/config/reference.rs`; to change it, change the comments there, and run
`LECTERN_WRITE_REFERENCE=1 cargo test --bin lectern reference`.

A TOML file, named by `--config` or `LECTERN_CONFIG`. A key that is not known is refused. Variables of the
environment go before the file, and the command line before both. `lectern check-config` says what is wrong with
a file; [operations.md](operations.md) tells more of it. Settings that say so are used anew when the process gets
SIGHUP; a change of any other is refused then, and needs a restart.
";

/// The whole page.
fn page() -> String {
    let mut page = HEAD.to_owned();
    for table in &ALL {
        write_table(&mut page, table);
    }
    page
}

fn write_table(page: &mut String, table: &Table) {
    let heading = match (table.key, table.is_list) {
        ("", _) => "Top level".to_owned(),
        (key, true) => format!("`[[{key}]]`"),
        (key, false) => format!("`[{key}]`"),
    };
    writeln!(page, "\n## {heading}").expect("text");
    if let Some(said) = said_above(table.key) {
        writeln!(page, "\n{said}").expect("text");
    }
    let defaults = defaults(table.key);
    for field in fields(table) {
        let name = field.ident.as_ref().expect("a name").to_string();
        let key = if table.key.is_empty() { name.clone() } else { format!("{}.{name}", table.key) };
        // What has a table of its own is told of there.
        if is_skipped(&field) || ALL.iter().any(|other| other.key == key) {
            continue;
        }
        write_setting(page, table, &key, &field, defaults.get(&name));
    }
}

/// What the struct that holds a table says of it.
fn said_above(key: &str) -> Option<String> {
    let (above, name) = key.rsplit_once('.').unwrap_or(("", key));
    let above = ALL.iter().find(|table| table.key == above && !key.is_empty())?;
    let field = fields(above)
        .into_iter()
        .find(|field| field.ident.as_ref().is_some_and(|id| id == name))?;
    Some(docs(&field.attrs))
}

fn write_setting(
    page: &mut String,
    table: &Table,
    key: &str,
    field: &Field,
    default: Option<&String>,
) {
    let docs = docs(&field.attrs);
    assert!(!docs.is_empty(), "{key} says nothing of itself");
    let speaks_of_source =
        docs.contains("Self::") || docs.contains("::from") || docs.contains("crate::");
    assert!(!speaks_of_source, "{key} speaks of the source: {docs}");
    let mut facts = vec![kind(&field.ty)];
    match default {
        // As it is written, and not as the source calls it.
        Some(default) if facts[0].ends_with(" or json") => facts.push(default.to_lowercase()),
        Some(default) => facts.push(default.clone()),
        None if is_optional(field) => {}
        None => facts.push("required".to_owned()),
    }
    // Of lists and tables the environment has no elements.
    if !table.is_list && facts[0] != "table" && table.key != "origin.oidc" {
        facts.push(format!("`LECTERN_{}`", key.replace('.', "__").to_uppercase()));
    }
    if key == "log" {
        facts.pop();
    }
    // Lists change as a whole.
    let list = key.split_once('.').map_or("", |(list, _)| list);
    if LIVE.contains(&key) || LIVE.contains(&list) {
        facts.push("used anew with SIGHUP".to_owned());
    }
    writeln!(page, "\n### `{key}`\n\n*{}*\n\n{docs}", facts.join(" · ")).expect("text");
}

fn fields(table: &Table) -> Vec<Field> {
    let file = syn::parse_file(table.source).expect("Rust");
    let found = file.items.into_iter().find_map(|item| match item {
        Item::Struct(item) if item.ident == table.name => Some(item),
        _ => None,
    });
    match found.unwrap_or_else(|| panic!("no struct {} for {}", table.name, table.key)).fields {
        Fields::Named(fields) => fields.named.into_iter().collect(),
        _ => panic!("{} has no names", table.name),
    }
}

/// A doc comment, without the brackets of links into the source.
fn docs(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(text.value().trim().to_owned()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    });
    lines.collect::<Vec<_>>().join("\n").replace("[`", "`").replace("`]", "`")
}

fn serde_says(field: &Field, word: &str) -> bool {
    field.attrs.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("serde") => {
            list.tokens.to_string().split(',').any(|part| part.trim().starts_with(word))
        }
        _ => false,
    })
}

fn is_skipped(field: &Field) -> bool {
    serde_says(field, "skip")
}

fn is_optional(field: &Field) -> bool {
    serde_says(field, "default") || type_name(&field.ty).0 == "Option"
}

/// The last part of a type's path, and its first argument.
fn type_name(of: &Type) -> (String, Option<&Type>) {
    let Type::Path(path) = of else { panic!("a type without a name") };
    let last = path.path.segments.last().expect("a segment");
    let argument = match &last.arguments {
        syn::PathArguments::AngleBracketed(all) => all.args.iter().find_map(|each| match each {
            syn::GenericArgument::Type(inner) => Some(inner),
            _ => None,
        }),
        _ => None,
    };
    (last.ident.to_string(), argument)
}

/// What is written for a value of this type.
fn kind(of: &Type) -> String {
    let (name, argument) = type_name(of);
    let inner = || kind(argument.expect("an argument"));
    let kind = match name.as_str() {
        "Option" => return inner(),
        "Vec" => return format!("list of {}", inner()),
        "Topics" | "Prewarm" => "list of text",
        "SocketAddr" => "address and port",
        "PublicAddress" => "address, or address and port",
        "bool" => "true or false",
        "u16" | "u32" | "u64" | "usize" | "NonZeroU32" | "NonZeroUsize" | "f64" => "number",
        "PathBuf" => "path",
        "Secret" | "Token" | "Credential" | "ModeratorKey" => "text, secret",
        "String" | "Title" | "Description" | "Line" | "Name" | "Role" | "BroadcastId" | "Kid"
        | "Language" | "PublicKey" | "Visibility" => "text",
        "Instant" => "text, a time",
        "LogFormat" => "text or json",
        "SecureUrl" | "WebUrl" | "Sibling" => "text, a URL",
        "Config" | "IceServer" | "PlayoutDelay" | "LinksConfig" | "BTreeMap" => "table",
        other => panic!("say what is written for a {other}"),
    };
    kind.to_owned()
}

/// What the fields of a table are if nothing is said, in words.
fn defaults(key: &str) -> BTreeMap<String, String> {
    let config = super::Config::default();
    let told = match key {
        "" => text(&config),
        "telemetry" => text(&config.telemetry),
        "origin" => text(&config.origin),
        "origin.limits" => text(&config.origin.limits),
        "edge" => text(&config.edge),
        _ => return BTreeMap::new(),
    };
    // As `Debug` writes a struct, a field in each line that is indented once.
    let lines = told.lines().filter_map(|line| line.strip_prefix("    "));
    let fields = lines.filter(|line| !line.starts_with([' ', '}', ']', ')']));
    let pairs = fields.filter_map(|line| line.split_once(": "));
    let mut all: BTreeMap<_, _> =
        pairs.map(|(name, value)| (name.to_owned(), worded(value.trim_end_matches(',')))).collect();
    // One in a list, which `Debug` writes below its name.
    let upstream = config.edge.upstream.join(", ");
    all.entry("upstream".to_owned()).and_modify(|value| *value = format!("default `{upstream}`"));
    all
}

fn text(config: &impl Debug) -> String {
    format!("{config:#?}")
}

fn worded(value: &str) -> String {
    match value {
        "None" => "not set".to_owned(),
        "[]" => "empty".to_owned(),
        value => format!("default `{}`", value.trim_matches('"')),
    }
}

#[test]
fn the_reference_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let page = page();
    if std::env::var_os("LECTERN_WRITE_REFERENCE").is_some() {
        std::fs::write(&path, &page).expect("written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = kept.lines().zip(page.lines()).find(|(kept, made)| kept != made);
    assert!(
        kept == page,
        "docs/configuration.md is not current ({differs:?}): \
         LECTERN_WRITE_REFERENCE=1 cargo test --bin lectern reference"
    );
}

/// Every setting that can change has its place in the reference, so that none is misspelt.
#[test]
fn what_can_change_is_a_setting() {
    let page = page();
    for key in LIVE {
        let [setting, list] = [format!("### `{key}`"), format!("## `[[{key}]]`")];
        assert!(page.contains(&setting) || page.contains(&list), "{key}");
    }
}
