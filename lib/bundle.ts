import type { BuildOptions, OutputFile } from 'esbuild'

const options = {
  bundle: true,
  format: 'esm',
  platform: 'browser',
  target: 'es2022',
  charset: 'utf8',
  legalComments: 'none',
  write: false
} satisfies BuildOptions

let running = 0

/** Returns the files that esbuild makes for browsers. Builds that run at the same time share one process of esbuild. */
export async function bundle(extra: BuildOptions): Promise<OutputFile[]> {
  running++
  // Loaded here, because a service without WEB=on does not need it.
  const { build, stop } = await import('esbuild')
  try {
    const { outputFiles } = await build({ ...options, ...extra, write: false })
    return outputFiles
  } finally {
    // esbuild is a child process, which would keep its memory.
    if (--running === 0) await stop()
  }
}
