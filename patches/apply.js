import { patchDriver } from '../lib/driver.js'

// The postinstall script.
patchDriver()
