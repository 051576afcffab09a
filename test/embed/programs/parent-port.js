// Stands for Electron's process.parentPort over the channel of child_process.fork, to be required before a utility
// process's script.
const { EventEmitter } = require('node:events');

const port = new EventEmitter();
port.postMessage = (message) => process.send(message);
process.on('message', (data) => port.emit('message', { data }));
process.parentPort = port;
