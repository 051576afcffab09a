/** The ends of a model with its final norm times its factors. */
import { AtomicFile, orAbort } from '../checkpoint/atomic';
import { native } from '../engine/native';
import { Session } from '../engine/session';
import type { ModelSource } from '../model/architecture';
import { factorsAt, type Place } from './factors';

/**
 * A session of the same ends, which reads that norm from the file `path`, written here; whoever asked disposes of it.
 * @throws StruPruneError ERR_OUTPUT
 */
export async function endsWith(
  session: Session,
  finalNorm: Place<'finalNorm'> | null,
  logs: Float64Array,
  path: string,
): Promise<Session> {
  const { engine, source, stored, scratch } = session;
  const scaled = finalNorm ? await scaledNorm(session, factorsAt(logs, finalNorm), path) : {};
  return new Session(engine, { ...source, ...scaled }, stored, scratch);
}

async function scaledNorm(
  session: Session,
  factors: Float64Array,
  path: string,
): Promise<Pick<ModelSource, 'files' | 'model'>> {
  const { source } = session;
  const norm = source.model.finalNorm!;
  const bytes = await session.encodeTensor(norm, 'F32', 0, 1);
  const values = new Float32Array(bytes.slice().buffer).map((value, i) => value * factors[i]!);
  native.dropBytes(bytes);
  const file = await AtomicFile.create(path, { replace: true });
  await orAbort(file, async () => {
    await file.write(new Uint8Array(values.buffer));
    await file.commit();
  });
  const place = { file: source.files.length, offset: 0, bytes: values.byteLength };
  return {
    files: [...source.files, path],
    model: { ...source.model, finalNorm: { ...norm, ...place, dtype: 'F32', times: 1, plus: 0 } },
  };
}
