import { effect } from '@preact/signals'
import { setting } from './settings.ts'

export const themes = ['system', 'light', 'dark'] as const

export const theme = setting('theme', themes)

/** Applies the theme to the document, now and after every change. */
export function applyTheme() {
  effect(() => {
    document.documentElement.dataset.theme = theme.value
  })
}
