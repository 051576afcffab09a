// All that the page may do: four calls and one event. No Node and no Electron object reaches it.
const { contextBridge, ipcRenderer } = require('electron');

contextBridge.exposeInMainWorld('struprune', {
  chooseModel: () => ipcRenderer.invoke('choose-model'),
  chooseText: () => ipcRenderer.invoke('choose-text'),
  start: (options) => ipcRenderer.send('start', options),
  cancel: () => ipcRenderer.send('cancel'),
  onMessage: (listener) => ipcRenderer.on('run', (_event, message) => listener(message)),
});
