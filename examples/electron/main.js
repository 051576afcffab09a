// The main process: one window, and one utility process a run. It loads no native code itself, so that neither
// a long computation nor a crash of it can touch the windows.
const path = require('node:path');
const { app, BrowserWindow, dialog, ipcMain, utilityProcess } = require('electron');

/** The run that is going on: its utility process and the window that hears of it. */
let run = null;

function openWindow() {
  const window = new BrowserWindow({
    width: 900,
    height: 700,
    webPreferences: {
      preload: path.join(__dirname, 'preload.js'),
      contextIsolation: true,
      nodeIntegration: false,
      sandbox: true,
    },
  });
  window.on('closed', cancel);
  window.loadFile('window.html');
}

/** Starts a run for the window that asks; `options`: { model, calibration, output, sparsity }, all but sparsity may be null. */
function start(event, options) {
  if (run) return;
  const child = utilityProcess.fork(path.join(__dirname, 'prune-process.js'), [], {
    serviceName: 'struprune',
  });
  run = child;
  const send = (message) => {
    if (!event.sender.isDestroyed()) event.sender.send('run', message);
  };
  let isSettled = false;
  child.on('message', (message) => {
    isSettled ||= message.type === 'done' || message.type === 'failed';
    // The window offers the next start as soon as it hears of the end.
    if (isSettled && run === child) run = null;
    send(message);
  });
  child.on('exit', (code) => {
    if (run === child) run = null;
    if (!isSettled) send({ type: 'failed', message: `the process ended with code ${code}` });
  });
  const output = options.output ?? path.join(app.getPath('temp'), `pruned-${Date.now()}`);
  child.postMessage({ type: 'start', options: { ...options, output } });
}

function cancel() {
  run?.postMessage({ type: 'cancel' });
}

async function choose(event, properties) {
  const window = BrowserWindow.fromWebContents(event.sender);
  const { filePaths } = await dialog.showOpenDialog(window, { properties });
  return filePaths[0] ?? null;
}

ipcMain.on('start', start);
ipcMain.on('cancel', cancel);
ipcMain.handle('choose-model', (event) => choose(event, ['openFile', 'openDirectory']));
ipcMain.handle('choose-text', (event) => choose(event, ['openFile']));

app.whenReady().then(openWindow);
app.on('window-all-closed', () => app.quit());
