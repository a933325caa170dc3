//! The accepting side of links: `/ws/peer` on every address the node listens on.

use std::future::ready;
use std::net::SocketAddr;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{ConnectInfo, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite;

use super::{FRAME_BYTES_MAX, Fault, Frame, Out, READ_BYTES, Transport};
use crate::api::App;

/// Takes a connection of another node.
pub(crate) async fn accept(
    State(app): State<App>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    upgrade: WebSocketUpgrade,
) -> Response {
    upgrade
        .max_message_size(FRAME_BYTES_MAX)
        .max_frame_size(FRAME_BYTES_MAX)
        .read_buffer_size(READ_BYTES)
        .on_upgrade(move |socket| async move { app.transport.serve(from, socket).await })
}

impl Transport {
    async fn serve(&self, from: SocketAddr, socket: WebSocket) {
        let who = from.to_string();
        let (sink, stream) = socket.split();
        let mut stream = stream.map(|message| message.map(frame).map_err(fault));
        let mut sink = sink
            .sink_map_err(|error| error.to_string())
            .with(|out| ready(Ok::<_, String>(message(out))));
        match self.greet(&who, &mut sink, &mut stream).await {
            Err(fault) => self.report(&who, &fault),
            Ok(peer) => {
                if let Some(running) = self.offer(&peer, true, &mut sink).await {
                    self.run(running, sink, stream).await;
                }
            }
        }
    }
}

fn message(out: Out) -> Message {
    match out {
        Out::Binary(bytes) => Message::Binary(bytes),
        Out::Ping => Message::Ping(Bytes::new()),
        Out::Close(reason) => {
            Message::Close(Some(CloseFrame { code: close_code::POLICY, reason: reason.into() }))
        }
    }
}

fn frame(message: Message) -> Frame {
    match message {
        Message::Binary(bytes) => Frame::Binary(bytes),
        Message::Ping(_) | Message::Pong(_) => Frame::Ping,
        Message::Text(_) => Frame::Text,
        Message::Close(frame) => {
            Frame::Close(frame.map(|frame| frame.reason.to_string()).unwrap_or_default())
        }
    }
}

fn fault(error: axum::Error) -> Fault {
    match error.into_inner().downcast::<tungstenite::Error>() {
        Ok(error) => super::fault(&error),
        Err(other) => Fault::Gone(other.to_string()),
    }
}
