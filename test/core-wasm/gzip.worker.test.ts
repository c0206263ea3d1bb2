import { gzipSuite } from './suites/gzip.ts'

gzipSuite()
