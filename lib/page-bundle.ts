import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { basename, extname, join } from 'node:path'
import packageJson from '../package.json' with { type: 'json' }
import { bundle } from './bundle.ts'

export type PageBundle = Awaited<ReturnType<typeof bundlePage>>

const web = (path: string) => join(import.meta.dirname, '../web', path)

// The licenses of the packages require their copyright lines in every copy.
const banner = {
  js:
    `/*! Concord ${packageJson.version} (${packageJson.license}), with ` +
    'preact (MIT, (c) 2015-present Jason Miller), @preact/signals (MIT, (c) 2022-present Preact Team), ' +
    'eventsource-parser (MIT, (c) 2026 Espen Hovlandsdal) */',
  css: '/*! with Inter (OFL-1.1, (c) 2016 The Inter Project Authors) */'
}

/**
 * Returns the files of the page. `assets` are the files whose names contain a hash of their content; the name of each
 * is the last part of its path below `/assets/`.
 */
export async function bundlePage() {
  const [files, [worker], template] = await Promise.all([
    bundle({
      entryPoints: [web('main.tsx'), web('styles/page.css'), web('icon.svg')],
      outdir: web('assets'),
      entryNames: '[name]-[hash]',
      assetNames: '[name]-[hash]',
      publicPath: '/assets',
      loader: { '.woff2': 'file', '.svg': 'copy' },
      jsx: 'automatic',
      jsxImportSource: 'preact',
      minify: true,
      banner
    }),
    bundle({ entryPoints: [web('sw.ts')], format: 'iife', minify: true }),
    readFile(web('index.html'), 'utf8')
  ])
  const assets = new Map(
    files.map(({ path, contents }) => [
      basename(path),
      { content: Buffer.from(contents), contentType: contentTypes[extname(path)] ?? '' }
    ])
  )
  const pathOf = (start: string, extension: string) => {
    const name = [...assets.keys()].find(
      name => name.startsWith(start) && extname(name) === extension
    )
    return `/assets/${name}`
  }
  const paths = {
    script: pathOf('main-', '.js'),
    styles: pathOf('page-', '.css'),
    font: pathOf('inter-latin-wght', '.woff2'),
    icon: pathOf('icon-', '.svg')
  }
  const document = template.replace(
    /\{\{(\w+)\}\}/g,
    (_, name) => paths[name as keyof typeof paths]
  )
  const version = hashOf(document)
  return {
    document,
    manifest: manifest(paths.icon),
    // The version is part of the script, so browsers install the worker anew whenever a file has changed.
    worker: `const FILES=${JSON.stringify(['/', ...Object.values(paths)])},VERSION="${version}";${worker?.text}`,
    assets
  }
}

const contentTypes: Record<string, string> = {
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.woff2': 'font/woff2',
  '.svg': 'image/svg+xml'
}

function manifest(icon: string): string {
  return JSON.stringify({
    id: '/',
    name: 'Concord',
    short_name: 'Concord',
    description: 'Shared checklists that several people edit at the same time',
    start_url: '/',
    display: 'standalone',
    background_color: '#fbfbfa',
    theme_color: '#fbfbfa',
    icons: [{ src: icon, sizes: 'any', type: 'image/svg+xml', purpose: 'any' }]
  })
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 10)
}
