/* A plugin for QEMU's user-mode emulation that counts the guest's instructions and writes the count at marks.
 *
 * QEMU translates straight runs of instructions, called blocks, once and executes the translation as often as the
 * program reaches it. The plugin notes the number of instructions of a block when it is translated and adds it each
 * time the block is executed. Nothing is timed or sampled: the same program with the same input gives the same count.
 * (A block that a fault interrupts counts in full; inference has no such block.)
 *
 * The program sets a mark by a system call that no kernel has, number 5000, with the number of the mark as its
 * argument. QEMU passes the call to this plugin before it fails with ENOSYS, as it would under a kernel.
 *
 * No Debian package contains QEMU's plugin header, so the declarations that are used are repeated here: version 1 of
 * the interface, of QEMU 6 to 8. Each thread has its own counter, so no lock is needed, and a mark reports the count of
 * the thread that sets it: ONNX Runtime has a second thread that waits, for a time that depends on the host.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define PUBLIC __attribute__((visibility("default")))
#define MARK 5000
#define THREADS 256
#define CACHE_LINE 64

typedef uint64_t qemu_plugin_id_t;
typedef struct qemu_info_t qemu_info_t;
struct qemu_plugin_tb;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
typedef void (*trans_cb_t)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*exec_cb_t)(unsigned int thread, void *data);
typedef void (*syscall_cb_t)(qemu_plugin_id_t, unsigned int thread, int64_t number, uint64_t, uint64_t, uint64_t,
                             uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, trans_cb_t);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, exec_cb_t, enum qemu_plugin_cb_flags, void *);
void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t, syscall_cb_t);

PUBLIC int qemu_plugin_version = 1;

static struct {
  uint64_t instructions;
  char padding[CACHE_LINE - sizeof(uint64_t)];
} counts[THREADS];
static FILE *out;

static void on_execution(unsigned int thread, void *length) {
  counts[thread % THREADS].instructions += (uintptr_t)length;
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
  (void)id;
  void *length = (void *)(uintptr_t)qemu_plugin_tb_n_insns(block);
  qemu_plugin_register_vcpu_tb_exec_cb(block, on_execution, QEMU_PLUGIN_CB_NO_REGS, length);
}

static void on_syscall(qemu_plugin_id_t id, unsigned int thread, int64_t number, uint64_t mark, uint64_t a2,
                       uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
  (void)id, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
  if (number != MARK) return;
  fprintf(out, "%" PRIu64 " %" PRIu64 "\n", mark, counts[thread % THREADS].instructions);
  fflush(out);
}

/* QEMU's option is -plugin icount.so,out=FILE. */
PUBLIC int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv) {
  (void)info;
  for (int i = 0; i < argc; i++)
    if (!strncmp(argv[i], "out=", 4)) out = fopen(argv[i] + 4, "w");
  if (!out) return 1;
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
  qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
  return 0;
}
