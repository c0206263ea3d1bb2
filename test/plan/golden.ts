/**
 * One image and its plan for nydus, made by other means than layercast's (a few lines of Python with hashlib), to hold
 * in Node and in workerd alike. It has a layer and a diff ID that come twice, a child that is no layer, an annotation
 * beyond ASCII, an empty one, and spellings to normalise. `fixtures/plan.json` has the whole plan.
 */
export const REFERENCE = 'demo'

export const CONFIG = `{
 "architecture": "aarch64",
 "os": "linux",
 "variant": "v8",
 "rootfs": {
  "type": "layers",
  "diff_ids": [
   "sha256:8b53639f152c8fc6ef30802fde462ba0be9cf085f7580dc69efd72e002abbb35",
   "sha256:e788103ee15318fcd2af9b73b4ebbb33a903b020de7b307d71f5fed0f433e548",
   "sha256:8b53639f152c8fc6ef30802fde462ba0be9cf085f7580dc69efd72e002abbb35"
  ]
 }
}`

export const MANIFEST = `{
   "schemaVersion": 2,
   "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
   "config": {
      "mediaType": "application/vnd.docker.container.image.v1+json",
      "size": 354,
      "digest": "sha256:7f20fffb9a9a193cb85a656b1bf9400a6f3bd119f75dff108d971a528b3d1a0d"
   },
   "layers": [
      {
         "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
         "size": 101,
         "digest": "sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
      },
      {
         "mediaType": "application/vnd.in-toto+json",
         "size": 7,
         "digest": "sha256:f745a15153c4dacf0ea4bbf57265e73283941f8335939b33c693975315cf5916"
      },
      {
         "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
         "size": 202,
         "digest": "sha256:3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d",
         "annotations": {
            "containerd.io/snapshot/note": "für €",
            "org.example": "x",
            "containerd.io/snapshot/empty": ""
         }
      },
      {
         "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
         "size": 101,
         "digest": "sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
      }
   ]
}
`

export const PLAN_DIGEST = 'sha256:346e328ea956ea829933e07be42096a725d0ea6d63500ebee87d31fc82246083'
