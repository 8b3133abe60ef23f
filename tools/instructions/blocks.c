/* A plugin for QEMU that reports the instructions that a guest program executes between marks, block by block.
 *
 * QEMU translates straight runs of instructions, called blocks, once and executes the translation as often as the
 * program reaches it. The plugin counts the executions of each block. Nothing is timed or sampled: the same program
 * with the same input gives the same counts. (A block that a fault interrupts counts in full; inference has no such
 * block.)
 *
 * A program sets marks in one of two ways. Under Linux, by a system call that no kernel has, number 5000, with the
 * argument 0 for the start and 1 for the stop: QEMU passes the call to this plugin before it fails with ENOSYS, as it
 * would under a kernel. Without an operating system, by executing the instructions at two addresses that are given to
 * the plugin, those of functions that it calls.
 *
 * Only the thread that sets the first mark is counted: ONNX Runtime has a second thread that waits, for a time that
 * depends on the host. At each stop, the plugin writes a line for each block that was executed since the first start:
 * address, executions, and the machine code of each instruction. The counts of several starts and stops add up.
 *
 * No Debian package contains QEMU's plugin header, so the declarations that are used are repeated here: version 1 of
 * the interface, of QEMU 6 to 8.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PUBLIC __attribute__((visibility("default")))
#define MARK 5000
#define NO_THREAD UINT32_MAX

typedef uint64_t qemu_plugin_id_t;
typedef struct qemu_info_t qemu_info_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
typedef void (*trans_cb_t)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*exec_cb_t)(unsigned int thread, void *data);
typedef void (*syscall_cb_t)(qemu_plugin_id_t, unsigned int thread, int64_t number, uint64_t, uint64_t, uint64_t,
                             uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, trans_cb_t);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, exec_cb_t, enum qemu_plugin_cb_flags, void *);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, exec_cb_t, enum qemu_plugin_cb_flags, void *);
void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t, syscall_cb_t);

PUBLIC int qemu_plugin_version = 1;

static struct block {
  struct block *next;
  uint64_t address, executions;
  char code[]; /* hexadecimal digits of the instructions, with a comma after each */
} *blocks;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* threads translate blocks at the same time */
static uint64_t start_address, stop_address;
static unsigned int first_thread = NO_THREAD; /* that set a mark */
static unsigned int counted = NO_THREAD;      /* between start and stop: the first thread */
static const char *path;

static void on_execution(unsigned int thread, void *data) {
  struct block *block = data;
  if (thread == counted) block->executions++;
}

static void write_blocks(void) {
  FILE *out = fopen(path, "w");
  if (!out) abort();
  pthread_mutex_lock(&lock);
  for (const struct block *block = blocks; block; block = block->next) {
    if (!block->executions) continue;
    fprintf(out, "%" PRIu64 " %" PRIu64 " %s\n", block->address, block->executions, block->code);
  }
  pthread_mutex_unlock(&lock);
  if (fclose(out)) abort();
}

static void on_start(unsigned int thread, void *data) {
  (void)data;
  if (first_thread == NO_THREAD) first_thread = thread;
  if (thread == first_thread) counted = thread;
}

static void on_stop(unsigned int thread, void *data) {
  (void)data;
  if (thread != counted) return;
  counted = NO_THREAD;
  write_blocks();
}

static void on_syscall(qemu_plugin_id_t id, unsigned int thread, int64_t number, uint64_t mark, uint64_t a2,
                       uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
  (void)id, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
  if (number != MARK) return;
  if (mark) on_stop(thread, NULL);
  else on_start(thread, NULL);
}

static struct block *describe(const struct qemu_plugin_tb *translation) {
  const size_t instructions = qemu_plugin_tb_n_insns(translation);
  size_t characters = 1;
  for (size_t i = 0; i < instructions; i++)
    characters += 2 * qemu_plugin_insn_size(qemu_plugin_tb_get_insn(translation, i)) + 1;
  struct block *block = calloc(1, sizeof *block + characters);
  if (!block) abort();
  block->address = qemu_plugin_tb_vaddr(translation);
  char *text = block->code;
  for (size_t i = 0; i < instructions; i++) {
    const struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(translation, i);
    const uint8_t *bytes = qemu_plugin_insn_data(instruction);
    for (size_t k = 0; k < qemu_plugin_insn_size(instruction); k++) text += sprintf(text, "%02x", bytes[k]);
    *text++ = ',';
  }
  return block;
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *translation) {
  (void)id;
  struct block *block = describe(translation);
  pthread_mutex_lock(&lock);
  block->next = blocks;
  blocks = block;
  pthread_mutex_unlock(&lock);
  qemu_plugin_register_vcpu_tb_exec_cb(translation, on_execution, QEMU_PLUGIN_CB_NO_REGS, block);
  for (size_t i = 0; start_address && i < qemu_plugin_tb_n_insns(translation); i++) {
    struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(translation, i);
    const uint64_t address = qemu_plugin_insn_vaddr(instruction);
    if (address == start_address)
      qemu_plugin_register_vcpu_insn_exec_cb(instruction, on_start, QEMU_PLUGIN_CB_NO_REGS, NULL);
    if (address == stop_address)
      qemu_plugin_register_vcpu_insn_exec_cb(instruction, on_stop, QEMU_PLUGIN_CB_NO_REGS, NULL);
  }
}

/* QEMU's option is -plugin blocks.so,out=FILE, and without an operating system also ,start=ADDRESS,stop=ADDRESS. */
PUBLIC int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv) {
  (void)info;
  for (int i = 0; i < argc; i++) {
    if (!strncmp(argv[i], "out=", 4)) path = strdup(argv[i] + 4);
    if (!strncmp(argv[i], "start=", 6)) start_address = strtoull(argv[i] + 6, NULL, 0);
    if (!strncmp(argv[i], "stop=", 5)) stop_address = strtoull(argv[i] + 5, NULL, 0);
  }
  if (!path) return 1;
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
  /* On a machine without an operating system, QEMU has no such callback to register. */
  if (!start_address) qemu_plugin_register_vcpu_syscall_cb(id, on_syscall);
  return 0;
}
