//! The commands of an encoder (RTMP 1.0 §7.2), and what each does to the session.

use std::time::Instant;

use rml_amf0::Amf0Value;
use rml_rtmp::messages::MessagePayload;

use super::super::amf;
use super::super::reply::Failure;
use super::{Connected, Error, Output, PUBLISH_TIMEOUT, PublishRequest, Session, State, amf0_body};

/// Message streams that one connection may create. Encoders create one.
const MESSAGE_STREAMS_MAX: u32 = 16;
/// Longest application name, in bytes.
const APP_BYTES_MAX: usize = 256;
/// Longest stream key, in bytes.
const STREAM_KEY_BYTES_MAX: usize = 256;
/// Longest name of an encoder that is kept, in characters.
const FLASH_VERSION_CHARS_MAX: usize = 64;

impl Session {
    pub(super) fn handle_command(
        &mut self,
        now: Instant,
        message: &MessagePayload,
    ) -> Result<(), Error> {
        let command = amf::command(amf0_body(message))?;
        let transaction_id = command.transaction_id;
        match command.name.as_str() {
            "connect" => return self.handle_connect(command),
            "releaseStream" | "_checkbw" => self.reply_result(transaction_id, Amf0Value::Undefined),
            "FCPublish" => {
                self.reply_result(transaction_id, Amf0Value::Undefined);
                let reply = self.replies.on_fc_publish();
                self.send(reply);
            }
            "createStream" => self.handle_create_stream(transaction_id)?,
            "publish" => return self.handle_publish(message.message_stream_id, &command),
            "FCUnpublish" | "closeStream" => self.handle_unpublish(now),
            "deleteStream" => {
                // Of another message stream it says nothing about the publication.
                let other = match (&self.state, command.arguments.first()) {
                    (State::Publishing { message_stream_id }, Some(Amf0Value::Number(id))) => {
                        *id != f64::from(*message_stream_id)
                    }
                    _ => false,
                };
                if !other {
                    self.handle_unpublish(now);
                }
            }
            "play" | "play2" => {
                let reply = self.replies.play_refused(message.message_stream_id);
                self.send(reply);
            }
            // Encoders call a good many methods of servers that they hope to meet, and go on
            // without an answer.
            _ => tracing::debug!(transaction_id, "unknown command"),
        }
        Ok(())
    }

    /// RTMP 1.0 §7.2.1.1.
    fn handle_connect(&mut self, command: amf::Command) -> Result<(), Error> {
        if self.connected.is_some() {
            return Err(Error::OutOfOrder("connect"));
        }
        let text = |name: &str| match command.object.get(name) {
            Some(Amf0Value::Utf8String(text)) => text.as_str(),
            _ => "",
        };
        let app = text("app").trim_matches('/');
        if app.is_empty() || app.len() > APP_BYTES_MAX {
            let description = "The URL names no application; it is rtmp://HOST/live.";
            let reply = self.replies.connect_refused(command.transaction_id, description);
            self.send(reply);
            return Err(Error::Name("application"));
        }
        let flash_version: String = text("flashVer")
            .chars()
            .filter(|c| !c.is_control())
            .take(FLASH_VERSION_CHARS_MAX)
            .collect();
        self.connected = Some(Connected { app: app.into(), flash_version });
        for reply in self.replies.connected(command.transaction_id) {
            self.send(reply);
        }
        Ok(())
    }

    /// RTMP 1.0 §7.2.1.3.
    fn handle_create_stream(&mut self, transaction_id: f64) -> Result<(), Error> {
        if self.connected.is_none() {
            return Err(Error::OutOfOrder("createStream"));
        }
        if self.message_streams == MESSAGE_STREAMS_MAX {
            let reply = self.replies.error(transaction_id, "Too many streams on one connection.");
            self.send(reply);
            return Ok(());
        }
        self.message_streams += 1;
        self.reply_result(transaction_id, Amf0Value::Number(f64::from(self.message_streams)));
        Ok(())
    }

    /// RTMP 1.0 §7.2.2.6.
    fn handle_publish(
        &mut self,
        message_stream_id: u32,
        command: &amf::Command,
    ) -> Result<(), Error> {
        let Some(connected) = &self.connected else {
            return Err(Error::OutOfOrder("publish"));
        };
        if !matches!(self.state, State::Commands) {
            return Err(Error::OutOfOrder("publish"));
        }
        let stream_key = match command.arguments.first() {
            Some(Amf0Value::Utf8String(key)) => stream_key(key),
            _ => None,
        };
        self.state = State::Deciding { message_stream_id };
        let Some(stream_key) = stream_key else {
            self.stop(Failure::BadName, "The stream key is missing or too long.");
            return Err(Error::Name("stream key"));
        };
        let request = PublishRequest {
            app: connected.app.clone(),
            stream_key: stream_key.into(),
            flash_version: connected.flash_version.clone(),
        };
        self.outputs.push_back(Output::Publish(request));
        Ok(())
    }

    fn handle_unpublish(&mut self, now: Instant) {
        if let State::Publishing { message_stream_id } = self.state {
            self.outputs.push_back(Output::Unpublish);
            let reply = self.replies.unpublished(message_stream_id);
            self.send(reply);
            self.state = State::Commands;
            self.deadline = now + PUBLISH_TIMEOUT;
        }
    }

    /// Transaction zero asks for no answer.
    fn reply_result(&mut self, transaction_id: f64, value: Amf0Value) {
        if transaction_id != 0.0 {
            let reply = self.replies.result(transaction_id, value);
            self.send(reply);
        }
    }
}

/// The key in what an encoder publishes: without the query that some put behind it.
fn stream_key(name: &str) -> Option<&str> {
    let key = name.split('?').next().unwrap_or_default().trim_matches('/');
    (!key.is_empty() && key.len() <= STREAM_KEY_BYTES_MAX).then_some(key)
}
