import { zstdSuite } from './suites/zstd.ts'

zstdSuite()
