//! stub
#![allow(missing_docs, dead_code)]
use crate::error::*;
#[derive(Debug, Clone)]
pub enum Names {
    Any,
    Only(Vec<String>),
}
#[derive(Debug, Clone)]
pub struct Rules {
    pub domains: Names,
    pub operations: Names,
    pub max_line: usize,
}
impl Default for Rules {
    fn default() -> Self {
        Rules {
            domains: Names::Any,
            operations: Names::Any,
            max_line: 1 << 20,
        }
    }
}
pub struct Event<'a> {
    pub timestamp: i64,
    pub domain: &'a str,
    pub category: &'a str,
    pub model_name: &'a str,
    pub operation: &'a str,
    pub logical_user_id: &'a str,
    pub request_id: Option<&'a str>,
    pub payload: Option<&'a [u8]>,
}
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'s> {
    pub stream: &'s str,
    pub head: &'s [u8],
    pub tail: &'s [u8],
}
impl Line<'_> {
    pub fn len(&self) -> usize {
        self.head.len() + self.tail.len()
    }
}
#[derive(Debug, Default)]
pub(crate) struct Renderer {
    stream: String,
    head: Vec<u8>,
}
impl Renderer {
    pub(crate) fn render_json<'s>(&'s mut self, text: &[u8], _r: &Rules) -> Result<Line<'s>> {
        let v: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(text).map_err(|e| Error::event(e.column(), e.to_string()))?;
        let g = |k: &str| {
            v.get(k)
                .and_then(|v| v.as_str())
                .map(str::to_owned)
                .ok_or_else(|| Error::event(0, format!("{k} is missing")))
        };
        self.stream = format!("{}/{}", g("domain")?, g("category")?);
        let mut h = format!(
            ",\"timestamp\":{}",
            v.get("timestamp").and_then(|v| v.as_i64()).unwrap_or(1)
        );
        for k in [
            "domain",
            "category",
            "model_name",
            "operation",
            "logical_user_id",
            "request_id",
            "payload",
        ] {
            if let Some(x) = v.get(k) {
                h.push_str(&format!(",\"{k}\":{x}"));
            }
        }
        h.push_str("}\n");
        self.head = h.into_bytes();
        Ok(Line {
            stream: &self.stream,
            head: &self.head,
            tail: b"",
        })
    }
    pub(crate) fn render_event<'s>(&'s mut self, _e: &Event, _r: &Rules) -> Result<Line<'s>> {
        Err(Error::argument("stub"))
    }
}
pub(crate) fn lines(b: &[u8]) -> impl Iterator<Item = (usize, (usize, &[u8]))> {
    let mut at = 0;
    b.split(|b| *b == b'\n')
        .enumerate()
        .map(move |(n, l)| {
            let s = at;
            at += l.len() + 1;
            (n + 1, (s, l))
        })
        .filter(|(_, (_, l))| !l.iter().all(u8::is_ascii_whitespace))
}
