// The WebSocket: packs requests, unpacks answers, comes back by itself when the connection is lost.

const encoder = new TextEncoder(), decoder = new TextDecoder();

// Why a server that answers takes no WebSocket: of that a browser tells nothing.
async function refusal() {
  try {
    const answer = await fetch("api/place", { method: "POST" });
    return answer.status === 403 ? (await answer.json()).error : "";
  } catch { return ""; }
}

export class Link {
  constructor(answered, stateChanged) {
    Object.assign(this, { answered, stateChanged, wait: 250, number: 0, last: null, socket: null });
    this.open();
  }

  open() {
    const address = new URL("ws", location); // beside the page, under whatever prefix a proxy gives it
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(address);
    let joined = false;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      joined = true;
      this.wait = 250;
      this.stateChanged("open");
      if (this.last) socket.send(this.last);
    };
    socket.onmessage = (event) => this.unpack(event.data);
    socket.onclose = async (event) => {
      // A message that the server would not take must not be sent again and again.
      if (event.code === 1009) this.last = null;
      this.stateChanged("lost", event.reason || (joined ? "" : await refusal()));
      setTimeout(() => this.open(), this.wait);
      this.wait = Math.min(2 * this.wait, 5000);
    };
    this.socket = socket;
  }

  // Pictures are Blobs. Answers to earlier requests may still come; `number` tells them apart.
  async send(header, pictures) {
    const id = ++this.number;
    const parts = await Promise.all(pictures.map((picture) => picture.arrayBuffer()));
    if (id !== this.number) return id;
    const text = encoder.encode(JSON.stringify({ ...header, id, sizes: parts.map((part) => part.byteLength) }));
    const length = new DataView(new ArrayBuffer(4));
    length.setUint32(0, text.length);
    this.last = await new Blob([length.buffer, text, ...parts]).arrayBuffer();
    if (id === this.number && this.socket.readyState === WebSocket.OPEN) this.socket.send(this.last);
    return id;
  }

  unpack(data) {
    const length = new DataView(data).getUint32(0);
    const header = JSON.parse(decoder.decode(new Uint8Array(data, 4, length)));
    let at = 4 + length;
    const pictures = header.sizes.map((size) => {
      const picture = new Blob([data.slice(at, at + size)], { type: "image/png" });
      at += size;
      return picture;
    });
    this.answered(header, pictures);
  }
}
