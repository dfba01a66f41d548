import * as Plot from '@observablehq/plot'
import { parseHTML } from 'linkedom'

/** Measured points of one or several lines. `x` grows, `y` is a cost or a rate. */
export interface Curve {
  title: string
  /** what `x` is, with its unit */
  x: string
  y: string
  /** whether each step of `x` is a multiple of the one before */
  isLogarithmic?: boolean
  points: { x: number; y: number; line: string }[]
}

// Colours that differ for colour-blind readers, on white and on black (after the palette of Okabe and Ito).
const colours = ['#2f81c7', '#d55e00', '#009e73']

const style = `
  svg { --background: #fff; color: #1f2328; background: var(--background); font: 13px system-ui, sans-serif }
  @media (prefers-color-scheme: dark) { svg { --background: #0d1117; color: #e6edf3 } }`

/** Returns the SVG of a curve, which is light or dark as the system of its reader. */
export function draw({ title, x, y, isLogarithmic = false, points }: Curve): string {
  const { document } = parseHTML('<html></html>')
  const lines = [...new Set(points.map(({ line }) => line))]
  const svg = Plot.plot({
    document,
    width: 720,
    height: 360,
    marginTop: 56,
    marginRight: 40,
    marginLeft: 64,
    marginBottom: 44,
    x: {
      label: x,
      labelAnchor: 'center',
      labelArrow: 'none',
      type: isLogarithmic ? 'log' : 'linear',
      ticks: [...new Set(points.map(point => point.x))],
      tickFormat: (value: number) => value.toLocaleString('en')
    },
    y: { label: null, grid: true, zero: true, nice: true },
    color: { domain: lines, range: colours },
    marks: [
      Plot.ruleY([0]),
      Plot.lineY(points, { x: 'x', y: 'y', stroke: 'line', strokeWidth: 2, marker: 'circle' }),
      Plot.text(
        points,
        Plot.selectLast({ x: 'x', y: 'y', z: 'line', text: 'line', fill: 'line', ...label })
      ),
      Plot.text([title], { ...heading, dy: -48, fontSize: 15, fontWeight: 600 }),
      Plot.text([y], { ...heading, dy: -26 })
    ]
  })
  svg.setAttribute('xmlns', 'http://www.w3.org/2000/svg')
  svg.insertAdjacentHTML('afterbegin', `<title>${title}</title><style>${style}</style>`)
  return svg.outerHTML
}

const heading = { frameAnchor: 'top-left', dx: -52 } as const
// The outline of the text keeps it readable on a line.
const label = {
  textAnchor: 'end',
  lineAnchor: 'bottom',
  dy: -10,
  fontWeight: 600,
  stroke: 'var(--background)',
  strokeWidth: 5
} as const
