import { bundleClient } from './client-bundle.ts'
import { describeClient } from './client-declarations.ts'
import { bundlePage } from './page-bundle.ts'

export type WebFiles = Awaited<ReturnType<typeof build>>

let files: Promise<WebFiles> | undefined

/** Returns the client library, its types and the page. They are made once for all applications of a process. */
export function webFiles(): Promise<WebFiles> {
  files ??= build()
  return files
}

async function build() {
  const [library, types, page] = await Promise.all([bundleClient(), describeClient(), bundlePage()])
  return { library, types, page }
}
